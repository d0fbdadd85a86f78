"""The initialization of an adaptation: its first encoder, and the recipe keys that the encoder needs."""

from dataclasses import dataclass, field
from pathlib import Path

from earmark.core.config import Table, read_table
from earmark.core.errors import InputError
from earmark.core.renamed_keys import with_current_names
from earmark.models.encoder import load_encoder
from earmark.models.onnx_model import shipped_file
from earmark.training.nn.encoders import StreamSettings
from earmark.training.recipe import check_any_recipe
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.sequences.recipe import SequenceRecipe

BASE, NONE = "base", "none"

# A smaller version of the published network, for a CPU, on frames that need no download.
_SMALL: Table = {
    "frames": {"kind": "log_mel"},
    "encoder": {"kind": "segment", "features": 40, "dimension": 128, "feed_forward": 512, "dropout": 0.1},
    "optimizer": {"lr": 1e-3},
}
# With a small learning rate, a trained encoder changes little.
_GENTLE: Table = {"optimizer": {"lr": 2e-4}}
# Placeholders for the paths of lists, to check a recipe before the lists exist.
_NO_LISTS = dict.fromkeys(("folder", "sections", "pairs", "labeled"), "nowhere")
# Keys of a recipe that the adaptation sets itself.
_OWN_KEYS = ("name", "data", "watch", "stop_after", "seed", "threads", "checkpoint_every")


@dataclass(frozen=True)
class Initialization:
    """The encoder that an adaptation starts from, or how it is trained.

    Attributes:
        name: name in reports.
        recipe: tables of a sequence recipe for the training of the encoder, without `data` and `start`.
        checkpoint: a checkpoint or an exported encoder; None if the first encoder is trained on stretched sections.
        from_scratch: whether rounds start from random weights by default.
        sections: keys of `episodes` for the training on stretched sections.
    """

    name: str
    recipe: Table
    checkpoint: Path | None = None
    from_scratch: bool = False
    sections: Table = field(default_factory=dict)


def choose_initialization(init: str | None = None, recipe: Path | None = None) -> Initialization:
    """Find the encoder that an adaptation starts from, by the name or path that a user gives.

    Args:
        init: `base`, `none`, a checkpoint of a sequence recipe, or an exported encoder on the published frames. None
            is the `start.checkpoint` of the recipe, or `base` without a recipe.
        recipe: a sequence recipe, whose data are ignored; None for a built-in one.

    Raises:
        InputError: the file does not exist, or its encoder cannot be adapted.
    """
    if recipe is not None:
        return _from_recipe(init, recipe)
    init = init or BASE
    if init == NONE:
        return Initialization("nothing", _SMALL, from_scratch=True)
    path = Path(init)
    if path.suffix == ".safetensors":
        return _from_checkpoint(path)
    return _from_exported(shipped_file(BASE) if init == BASE else path, init)


def _from_recipe(init: str | None, recipe: Path) -> Initialization:
    table = read_table(recipe, SequenceRecipe)
    if table.get("kind") != "sequences":
        raise InputError(f'{recipe}: adaptation needs a sequence recipe; set kind = "sequences"')
    start = table.pop("start", {}).get("checkpoint")
    table = {key: value for key, value in table.items() if key not in _OWN_KEYS}
    check_any_recipe({"name": "adapted", **table, "data": _NO_LISTS}, str(recipe))
    checkpoint: Path | None = None
    if init is not None and init != NONE:
        checkpoint = Path(init).resolve()
        if not checkpoint.is_file():
            raise InputError(
                f"{init} is not a file; with a recipe, choose {NONE!r} or the path of a checkpoint", key="init"
            )
    elif init is None and start:
        checkpoint = Path(start)
        if not checkpoint.is_file():
            raise InputError(
                f"{recipe}: start.checkpoint: there is no file {checkpoint}; train this checkpoint, or choose the "
                f"initialization {NONE!r}"
            )
    del table["kind"]
    episodes = table.get("episodes", {})
    sections = episodes if episodes.get("kind", "sections") == "sections" else {}
    return Initialization(recipe.stem, table, checkpoint, checkpoint is None, sections)


def _from_checkpoint(path: Path) -> Initialization:
    state = load_checkpoint(path)
    recipe = check_any_recipe(state.recipe, str(path))
    if not isinstance(recipe, SequenceRecipe):
        raise InputError(
            f"{path} was trained with a word recipe, but adaptation needs a checkpoint of a sequence recipe; choose "
            f"such a checkpoint, {BASE!r} or {NONE!r}",
            key="init",
        )
    kept = ("context", "frames", "encoder", "loss")
    return Initialization(path.stem, {key: state.recipe[key] for key in kept} | _GENTLE, path.resolve())


def _from_exported(path: Path, name: str) -> Initialization:
    encoder = load_encoder(path)
    settings = with_current_names(encoder.card.get("recipe", {})).get("encoder", {})
    if settings.get("frames") != "published":
        raise InputError(
            f"the encoder {name} cannot be adapted, because its frames are not the published ones; choose the "
            f"initialization {BASE!r} or {NONE!r}",
            key="init",
        )
    stream = StreamSettings.model_validate(settings)
    table = {"frames": {"kind": "tower", "late": 0}, "encoder": {"kind": "stream"} | stream.model_dump(mode="json")}
    return Initialization(name, table | _GENTLE, path.resolve())
