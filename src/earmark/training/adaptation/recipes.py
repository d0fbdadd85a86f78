"""The recipes of an adaptation: where it starts, and what each round is trained by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from earmark.core.config import read_table
from earmark.core.errors import InputError
from earmark.core.files import write_text
from earmark.core.renamed_keys import with_current_names
from earmark.models.encoder import load_encoder
from earmark.models.onnx_model import shipped_file
from earmark.training.adaptation.settings import AdaptSettings
from earmark.training.nn.encoders import StreamSettings
from earmark.training.recipe import check_any_recipe
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.sequences.recipe import SequenceRecipe

Table = dict[str, Any]

BASE, NOTHING = "base", "none"
_STEPS = 300
_SHORTEST_S = 0.4  # of a section for the first learning: without pauses they are short
_NOWHERE = dict.fromkeys(
    ("folder", "sections", "pairs", "labeled"), "nowhere"
)  # what a recipe must say of data, until there are lists

# As published but for the size, which a CPU trains in minutes, and the frames, which need no download.
_SMALL: Table = {
    "frames": {"kind": "log_mel"},
    "encoder": {"kind": "segment", "features": 40, "dimension": 128, "feed_forward": 512, "dropout": 0.1},
    "optimizer": {"lr": 1e-3},
}
# The shipped encoder knows words already: a little is learned, and what it knows is to stay.
_GENTLY: Table = {"optimizer": {"lr": 2e-4}}


@dataclass(frozen=True)
class Start:
    """Where an adaptation starts.

    Attributes:
        title: for reports.
        table: of a recipe of sequences, without data, episodes and start.
        checkpoint: a checkpoint or an exported encoder; None: the first one is learned from sections in two tempos.
        anew: whether rounds learn from nothing, unless somebody says otherwise.
        init: what a recipe says of the sections of that first learning.
    """

    title: str
    table: Table
    checkpoint: Path | None
    anew: bool
    init: Table


def choose_start(name: str | None, recipe: Path | None) -> Start:
    """What somebody wants to start from.

    Args:
        name: `base`, `none`, a checkpoint of sequences, or an exported encoder with the published frames.
        recipe: a recipe of sequences whose data are left out, or will be.

    Raises:
        InputError: no such file, or not one that can be adapted.
    """
    if recipe is not None:
        return _from_recipe(name, recipe)
    name = name or BASE
    if name == NOTHING:
        return Start("nothing", _SMALL, None, True, {})
    path = Path(name)
    if path.suffix == ".safetensors":
        return _from_checkpoint(path)
    return _from_exported(shipped_file(BASE) if name == BASE else path, name)


def round_recipe(start: Start, settings: AdaptSettings, name: str, data: Table, begin: Path | None) -> Table:
    """The table of the recipe that learns from the pairs of a round.

    Args:
        start: where the adaptation starts.
        settings: of the adaptation.
        name: of what is learned.
        data: the lists.
        begin: a checkpoint or an exported encoder to go on from; None: from nothing.
    """
    episodes = start.table.get("episodes", {})
    own = episodes if episodes.get("kind") == "pairs" else {"pairs": settings.pairs}
    learned = {"data": data, "episodes": {**own, "kind": "pairs"}}
    run = _run(start, settings, name)
    run.pop("augment", None)  # they happen to sections; pairs are learned from stored frames
    return run | learned | ({"start": {"checkpoint": begin}} if begin else {})


def init_recipe(start: Start, settings: AdaptSettings, name: str, data: Table, least_sections: int) -> Table:
    """The table of the recipe that learns from sections in two tempos, before anything can be mined.

    Args:
        start: where the adaptation starts.
        settings: of the adaptation.
        name: of what is learned.
        data: the lists.
        least_sections: of a speaker.
    """
    own = {"kind": "sections", "least_sections": least_sections, "shortest_s": _SHORTEST_S, **start.init}
    return _run(start, settings, name) | {"data": data, "episodes": own}


def _run(start: Start, settings: AdaptSettings, name: str) -> Table:
    optimizer = {"steps": _STEPS, **start.table.get("optimizer", {})}
    given = {"steps": settings.steps, "lr": settings.lr}
    optimizer |= {key: value for key, value in given.items() if value}
    run = {"name": name, "seed": settings.seed}
    every = -(-optimizer["steps"] // settings.checks)
    return {**run, "checkpoint_every": every, **start.table, "optimizer": optimizer}


def write_recipe(table: Mapping[str, Any], path: Path, title: str) -> None:
    """Write a recipe that `earmark train` reads."""
    text = tomli_w.dumps(_plain({"kind": "sequences"} | dict(table)))
    write_text(path, f"# {title}\n{text}")


def _from_recipe(name: str | None, recipe: Path) -> Start:
    table = read_table(recipe, SequenceRecipe)
    if table.get("kind") != "sequences":
        raise InputError(f'{recipe}: adapt takes a recipe of sequences; begin it with kind = "sequences"')
    start = table.pop("start", {}).get("checkpoint")
    own = ("name", "data", "watch", "stop_after", "seed", "threads", "checkpoint_every")
    table = {key: value for key, value in table.items() if key not in own}
    check_any_recipe({"name": "adapted", **table, "data": _NOWHERE}, str(recipe))
    if name is not None and name != NOTHING:
        start = Path(name).resolve()
        if not start.is_file():
            raise InputError(
                f"--start {name}: beside --recipe it is {NOTHING}, or the file of a checkpoint of that recipe"
            )
    elif name == NOTHING:
        start = None
    elif start:
        start = (recipe.parent / start).resolve()
        if not start.is_file():
            raise InputError(f"{recipe}: start.checkpoint: no file {start}; train it first, or say --start {NOTHING}")
    del table["kind"]
    episodes = table.get("episodes", {})
    init = episodes if episodes.get("kind", "sections") == "sections" else {}
    return Start(recipe.stem, table, Path(start) if start else None, not start, init)


def _from_checkpoint(path: Path) -> Start:
    state = load_checkpoint(path)
    recipe = check_any_recipe(state.recipe, str(path))
    if not isinstance(recipe, SequenceRecipe):
        raise InputError(f"--start {path}: learned from words; adapt takes base, none, or what learned from sequences")
    kept = ("context", "frames", "encoder", "loss")
    return Start(path.stem, {key: state.recipe[key] for key in kept} | _GENTLY, path.resolve(), False, {})


def _from_exported(path: Path, name: str) -> Start:
    encoder = load_encoder(path)
    said = with_current_names(encoder.card.get("recipe", {})).get("encoder", {})
    if said.get("frames") != "published":
        raise InputError(
            f"--start {name}: has a tower of its own, which was trained on labeled words; start from base, or none"
        )
    settings = StreamSettings.model_validate(said)
    table = {"frames": {"kind": "tower", "late": 0}, "encoder": {"kind": "stream"} | settings.model_dump(mode="json")}
    return Start(name, table | _GENTLY, path.resolve(), False, {})


def _plain(value: Any) -> Any:
    """A value as TOML can hold it: without nothing in tables, paths as text."""
    match value:
        case Mapping():
            return {key: _plain(inner) for key, inner in value.items() if inner is not None}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case Path():
            return str(value)
    return value
