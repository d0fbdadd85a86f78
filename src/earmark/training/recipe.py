"""A recipe: everything that decides what is trained, in one TOML file; what is not in it has a default here."""

import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, Tag, ValidationError, model_validator

from earmark.errors import InputError
from earmark.training.augment import AugmentSettings, FieldSettings
from earmark.training.centred import CentredSettings
from earmark.training.encoders import EncoderSettings, StreamSettings
from earmark.training.episodes import EpisodeSettings
from earmark.training.kinds import by_kind
from earmark.training.losses import LossSettings
from earmark.training.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.optimiser import OptimiserSettings
from earmark.training.scenes import SceneSettings


class Settings(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Settings):
    """One manifest, and what of it is used."""

    manifest: Path = Field(description="the manifest; relative to the recipe's folder")
    split: str = Field("", description="only the clips of this split; empty: all")
    prefix: str = Field("", description="put before each label, so that equal names of two languages stay two words")
    labels: tuple[str, ...] = Field((), description="only the clips with these labels; empty: all")
    exclude: tuple[str, ...] = Field((), description="labels that are left out")
    licence: str = Field("", description="name and licence of the set, for the model card")


class DataSettings(Settings):
    """What is heard."""

    folder: Path = Field(description="where the packed clips go; relative to the recipe's folder")
    words: tuple[Source, ...] = Field(min_length=1, description="labelled clips")
    targets: tuple[str, ...] = Field((), description="labels of `words` that are classes of their own; empty: all are")
    others: Literal["class", "background", "leave-out"] = Field(
        "class",
        description="the other labels of `words`: one class `_unknown_`, background that is of no class, or left out",
    )
    silence: bool = Field(False, description="a class `_silence_` beside the words; `scenes` says how it sounds")
    sounds: tuple[Source, ...] = Field(
        (), description="clips whose labels are not used: neighbours of words, and sound for a student"
    )
    noise: tuple[Source, ...] = Field((), description="background noise; without any, noise is made")
    music: tuple[Source, ...] = Field((), description="music, for augmentation")
    speech: tuple[Source, ...] = Field((), description="other people's speech, for augmentation")
    rooms: tuple[Source, ...] = Field((), description="room impulse responses; without any, rooms are made")
    validation: tuple[Source, ...] = Field((), description="labelled clips to choose the best checkpoint by")
    known_validation: bool = Field(
        False, description="validation words may be training labels too, as where targets are fixed"
    )
    background: tuple[Source, ...] = Field(
        (), description="sentences with transcripts to count false alarms on; without any, those of `sounds`"
    )
    copies: int = Field(
        0, ge=0, description="0: scenes are drawn as they are needed; k: each clip is drawn k times and kept on disk"
    )


_SOURCES = ("words", "sounds", "noise", "music", "speech", "rooms", "validation", "background")


class DistillationSettings(Settings):
    """Learning a teacher's frames."""

    weight: float = Field(0.0, ge=0, description="weight of the frame loss beside the word loss; 0: no teacher")
    sounds: int = Field(0, ge=0, description="clips from `data.sounds` in each batch, beside the episode")


class StartSettings(Settings):
    """Where a run begins: fine-tuning."""

    checkpoint: Path | None = Field(
        None, description="a checkpoint whose tensors the run starts from; relative to the recipe's folder"
    )
    freeze: tuple[str, ...] = Field(
        (), description="parts of the encoder that stay as they are, statistics too, such as `network.layers.0`"
    )


class Recipe(Settings):
    """All settings of a training run."""

    name: str = Field(pattern=r"^[\w-][\w.-]*$", description="the encoder's name; it names files too")
    seed: int = Field(0, ge=0, description="of all draws")
    data: DataSettings
    scenes: Annotated[
        Annotated[SceneSettings, Tag("placed")] | Annotated[CentredSettings, Tag("centred")], by_kind("placed")
    ] = SceneSettings()
    augment: AugmentSettings = FieldSettings()
    encoder: EncoderSettings = StreamSettings()
    start: StartSettings = StartSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    loss: LossSettings = AngularPrototypicalSettings()
    distillation: DistillationSettings = DistillationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    checkpoint_every: int = Field(200, ge=1, description="steps between checkpoints, each followed by a validation")
    stop_after: int = Field(
        0, ge=0, description="checkpoints without a better validation after which the run ends; 0: it never ends early"
    )
    choose: Literal["best", "last"] = Field(
        "best", description="the checkpoint that is exported: the best by the validation's EER, or the last"
    )
    threads: int = Field(0, ge=0, description="threads of torch on a CPU; 0: torch's choice")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for problem in (*_missing_clips(self), *_clashing_kinds(self), *_clashing_loss(self)):
            raise ValueError(problem)
        return self


def _missing_clips(recipe: Recipe) -> Iterator[str]:
    asked = {"distillation.sounds": recipe.distillation.sounds, "episodes.background": recipe.episodes.background}
    has_others = bool(recipe.data.targets) and recipe.data.others == "background"
    for key, count in asked.items():
        if count and not recipe.data.sounds and not has_others:
            yield f"{key} asks for clips of data.sounds, which names none"
    if recipe.stop_after and not recipe.data.validation:
        yield "stop_after: without data.validation nothing says when to stop"


def _clashing_kinds(recipe: Recipe) -> Iterator[str]:
    encoder, scenes = recipe.encoder, recipe.scenes
    if isinstance(encoder, StreamSettings):
        if not isinstance(scenes, SceneSettings):
            yield "scenes.kind: an encoder of streams learns from placed scenes; say kind = 'placed'"
        if not isinstance(recipe.augment, FieldSettings):
            yield "augment.kind: placed scenes sound in the field; say kind = 'field'"
        if recipe.data.silence:
            yield "data.silence: a stream is silent between words anyway; leave it out, or use episodes.background"
        return
    if not isinstance(scenes, CentredSettings):
        yield f"scenes.kind: {encoder.kind} learns from clips of one length; say kind = 'centred'"
    elif scenes.length_s != encoder.length_s:
        yield f"scenes.length_s: {scenes.length_s:g} s, but encoder.length_s is {encoder.length_s:g} s"
    if recipe.distillation.weight or recipe.data.copies:
        yield f"distillation and data.copies are for encoders of streams; {encoder.kind} has no frames to learn"


def _clashing_loss(recipe: Recipe) -> Iterator[str]:
    loss, shape = recipe.loss, recipe.episodes
    if shape.utterances < loss.least_utterances:
        yield f"episodes.utterances: {loss.kind} needs {loss.least_utterances} or more of each class"
    if shape.background and not loss.takes_background:
        yield f"episodes.background: {loss.kind} has no use for it; set it to 0"


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
    begin = recipe.start.checkpoint
    start = recipe.start.model_copy(update={"checkpoint": begin and (folder / begin).resolve()})
    return recipe.model_copy(
        update={
            "data": data.model_copy(update={"folder": (folder / data.folder).resolve(), **groups}),
            "start": start,
        }
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
    if values["start"]["checkpoint"]:
        values["start"]["checkpoint"] = _end_of(values["start"]["checkpoint"])
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
    path, keys, kinds = _followed(problem["loc"])
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(path[-1], keys, 1)
        return f"{key}: no such key" + (f"; did you mean {close[0]!r}?" if close else "")
    if problem["type"] == "union_tag_invalid":
        said = str(problem["ctx"]["tag"])
        close = get_close_matches(said, kinds, 1)
        cure = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(kinds)}"
        return f"{key}.kind: no such kind {said!r}; {cure}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}" if key else message


def _followed(location: tuple[int | str, ...]) -> tuple[list[str], list[str], list[str]]:
    """A place in the recipe as its writer knows it, without pydantic's tags; the keys beside it; the kinds below it."""
    model: Any = Recipe
    path: list[str] = []
    keys: list[str] = []
    kinds: dict[str, Any] = {}
    for part in location:
        if part in kinds:  # which member of a union was meant, not a key
            model, kinds = kinds[str(part)], {}
            continue
        path.append(str(part))
        keys = list(getattr(model, "model_fields", {}))
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else model
        kinds = {member.model_fields["kind"].default: member for member in _kinds_in(annotation)}
        model = next((part for part in get_args(annotation) if hasattr(part, "model_fields")), annotation)
    return path, keys, list(kinds)


def _kinds_in(annotation: Any) -> list[Any]:
    """The settings models of a union, those with a kind."""
    members = [member for part in get_args(annotation) for member in (_kinds_in(part) or [part])]
    return [member for member in members if "kind" in getattr(member, "model_fields", {})]
