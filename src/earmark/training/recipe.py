"""A recipe: everything that decides what is trained, in one TOML file; what is not in it has a default here."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from earmark.errors import InputError
from earmark.training.augment import AugmentSettings
from earmark.training.encoders import EncoderSettings
from earmark.training.episodes import EpisodeSettings
from earmark.training.losses import LossSettings
from earmark.training.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.scenes import SceneSettings


class Settings(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Settings):
    """One manifest, and what of it is used."""

    manifest: Path = Field(description="the manifest; relative to the recipe's folder")
    split: str = Field("", description="only the clips of this split; empty: all")
    prefix: str = Field("", description="put before each label, so that equal names of two languages stay two words")
    exclude: tuple[str, ...] = Field((), description="labels that are left out")
    licence: str = Field("", description="name and licence of the set, for the model card")


class DataSettings(Settings):
    """What is heard."""

    folder: Path = Field(description="where the packed clips go; relative to the recipe's folder")
    words: tuple[Source, ...] = Field(min_length=1, description="labelled clips")
    sounds: tuple[Source, ...] = Field(
        (), description="clips whose labels are not used: neighbours of words, and sound for a student"
    )
    noise: tuple[Source, ...] = Field((), description="background noise; without any, noise is made")
    rooms: tuple[Source, ...] = Field((), description="room impulse responses; without any, rooms are made")
    validation: tuple[Source, ...] = Field(
        (), description="labelled clips of words that are not in `words`, to choose the best checkpoint by"
    )
    background: tuple[Source, ...] = Field(
        (), description="sentences with transcripts to count false alarms on; without any, those of `sounds`"
    )
    copies: int = Field(
        0, ge=0, description="0: scenes are drawn as they are needed; k: each clip is drawn k times and kept on disk"
    )


_SOURCES = ("words", "sounds", "noise", "rooms", "validation", "background")


class OptimiserSettings(Settings):
    """AdamW under a schedule of linear warm-up and cosine decay."""

    steps: int = Field(1000, ge=1, description="training steps")
    lr: float = Field(2e-3, gt=0, description="highest learning rate")
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps in which the rate rises")
    weight_decay: float = Field(1e-2, ge=0, description="how fast weights shrink that nothing holds up")
    clip_norm: float = Field(5.0, gt=0, description="largest norm of the gradient")


class DistillationSettings(Settings):
    """Learning a teacher's frames."""

    weight: float = Field(0.0, ge=0, description="weight of the frame loss beside the word loss; 0: no teacher")
    sounds: int = Field(0, ge=0, description="clips from `data.sounds` in each batch, beside the episode")


class Recipe(Settings):
    """All settings of a training run."""

    name: str = Field(pattern=r"^[\w-][\w.-]*$", description="the encoder's name; it names files too")
    seed: int = Field(0, ge=0, description="of all draws")
    data: DataSettings
    scenes: SceneSettings = SceneSettings()
    augment: AugmentSettings = AugmentSettings()
    encoder: EncoderSettings = EncoderSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    loss: LossSettings = AngularPrototypicalSettings()
    distillation: DistillationSettings = DistillationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    checkpoint_every: int = Field(200, ge=1, description="steps between checkpoints, each followed by a validation")
    choose: Literal["best", "last"] = Field(
        "best", description="the checkpoint that is exported: the best by the validation's EER, or the last"
    )
    threads: int = Field(0, ge=0, description="threads of torch on a CPU; 0: torch's choice")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        asked = {"distillation.sounds": self.distillation.sounds, "episodes.background": self.episodes.background}
        for key, count in asked.items():
            if count and not self.data.sounds:
                raise ValueError(f"{key} asks for clips of data.sounds, which names none")
        return self


def read_recipe(path: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: a TOML file; relative paths in it start from its folder. With ``extends = "other.toml"`` it says only
            what differs from another recipe in the same folder.
        overrides: ``a.b=value`` each, the value as in TOML (a bare word is a string).

    Raises:
        InputError: no such file, not TOML, an unknown key, a value of the wrong kind.
    """
    path = Path(path)
    table = _table(path, ())
    for override in overrides:
        _apply(table, override)
    return parse_recipe(table, path.parent, str(path))


def _table(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """The TOML table of a file, over that of the file that it extends."""
    if path in extending:
        raise InputError(f"{extending[-1]}: extends {path.name}, which extends it in turn")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path}: no such recipe") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is what a file that is no UTF-8 raises
        raise InputError(f"{path}: not TOML: {error}") from None
    parent = table.pop("extends", None)
    return table if parent is None else _merged(_table(path.parent / str(parent), (*extending, path)), table)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merged(under[key], over[key]) for key in over if _is_table(over[key]) and _is_table(under.get(key))}
    return under | over | both


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def parse_recipe(table: dict[str, Any], folder: Path, where: str) -> Recipe:
    """A recipe from a table whose relative paths start from ``folder``."""
    recipe = check_recipe(table, where)
    data = recipe.data

    def located(sources: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(source.model_copy(update={"manifest": (folder / source.manifest).resolve()}) for source in sources)

    groups = {name: located(getattr(data, name)) for name in _SOURCES}
    return recipe.model_copy(
        update={"data": data.model_copy(update={"folder": (folder / data.folder).resolve(), **groups})}
    )


def check_recipe(table: dict[str, Any], where: str) -> Recipe:
    """A recipe from a table, its paths as they stand.

    Raises:
        InputError: an unknown key, a value of the wrong kind; ``where`` says where the table comes from.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise InputError(f"{where}: {_first_problem(error)}") from None


def portable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values, of each path only the last two parts: what it says on any machine."""
    values = recipe.model_dump(mode="json")
    data = values["data"]
    data["folder"] = _end_of(data["folder"])
    for name in _SOURCES:
        for source in data[name]:
            source["manifest"] = _end_of(source["manifest"])
    return values


def _end_of(path: str) -> str:
    return "/".join(Path(path).resolve().parts[-2:])


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise InputError(f"--set {override}: write it as key=value, for example optimiser.lr=0.001")
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not _is_table(table):
            raise InputError(f"--set {override}: {parent!r} holds no keys; only whole values and lists can be set")
    try:
        table[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = value


def _first_problem(error: ValidationError) -> str:
    """The first problem in one line: ``optimiser.lrr: no such key; did you mean 'lr'?``."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(str(problem["loc"][-1]), _keys(problem["loc"][:-1]), 1)
        return f"{key}: no such key" + (f"; did you mean {close[0]!r}?" if close else "")
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}" if key else message


def _keys(parents: tuple[int | str, ...]) -> list[str]:
    model: Any = Recipe
    for parent in parents:
        field = getattr(model, "model_fields", {}).get(parent)
        if field is not None:
            model = field.annotation
        if getattr(model, "__args__", None):
            model = model.__args__[0]
    return list(getattr(model, "model_fields", {}))
