"""A recipe: everything that decides what is trained, in one TOML file; what is not in it has a default here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from earmark.core.config import Settings, checked, end_of_path, placed, read_table
from earmark.core.tagged_union import by_kind
from earmark.training.batches.augment import AugmentSettings, FieldSettings
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.episodes import EpisodeSettings
from earmark.training.batches.scenes import SceneSettings
from earmark.training.batches.tiled_crop import TiledCropSettings
from earmark.training.nn.encoders import EncoderSettings, StreamSettings
from earmark.training.nn.losses import AnyLossSettings
from earmark.training.nn.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.run.settings import RunSettings


class Source(Settings):
    """One manifest, and what of it is used."""

    manifest: Path = Field(description="the manifest; relative to the recipe's folder")
    split: str = Field("", description="only the clips of this split; empty: all")
    prefix: str = Field("", description="put before each label, so that equal names of two languages stay two words")
    labels: tuple[str, ...] = Field((), description="only the clips with these labels; empty: all")
    exclude: tuple[str, ...] = Field((), description="labels that are left out")
    license: str = Field("", description="name and license of the set, for the model card")


class DataSettings(Settings):
    """What is heard."""

    folder: Path = Field(description="where the packed clips go; relative to the recipe's folder")
    words: tuple[Source, ...] = Field(min_length=1, description="labeled clips")
    classes: Literal["label", "speaker"] = Field(
        "label", description="what is told apart, here and in the validation: what is said, or who says it"
    )
    targets: tuple[str, ...] = Field((), description="labels of `words` that are classes of their own; empty: all are")
    others: Literal["class", "background", "leave-out"] = Field(
        "class",
        description="the other labels of `words`: one class `_unknown_`, background that is of no class, or left out",
    )
    silence: bool = Field(False, description="a class `_silence_` beside the words; `scenes` says how it sounds")
    sounds: tuple[Source, ...] = Field(
        (), description="clips whose labels are not used: neighbors of words, and sound for a student"
    )
    noise: tuple[Source, ...] = Field((), description="background noise; without any, noise is made")
    music: tuple[Source, ...] = Field((), description="music, for augmentation")
    speech: tuple[Source, ...] = Field((), description="other people's speech, for augmentation")
    rooms: tuple[Source, ...] = Field((), description="room impulse responses; without any, rooms are made")
    validation: tuple[Source, ...] = Field((), description="labeled clips to choose the best checkpoint by")
    known_validation: bool = Field(
        False, description="validation words may be training labels too, as where targets are fixed"
    )
    background: tuple[Source, ...] = Field(
        (), description="sentences with transcripts to count false alarms on; without any, those of `sounds`"
    )
    copies: int = Field(
        0, ge=0, description="0: scenes are drawn as they are needed; k: each clip is drawn k times and kept on disk"
    )


SOURCES = ("words", "sounds", "noise", "music", "speech", "rooms", "validation", "background")
"""The keys of `DataSettings` that name manifests."""


class DistillationSettings(Settings):
    """Learning a teacher's frames."""

    weight: float = Field(0.0, ge=0, description="weight of the frame loss beside the word loss; 0: no teacher")
    sounds: int = Field(0, ge=0, description="clips from `data.sounds` in each batch, beside the episode")


class Recipe(RunSettings):
    """All settings of a run that learns words, or voices, from labeled clips."""

    kind: Literal["words"] = Field("words", description="what the recipe is for")
    data: DataSettings
    scenes: Annotated[
        SceneSettings | CenterCropSettings | TiledCropSettings,
        by_kind("placed"),
    ] = SceneSettings()
    augment: AugmentSettings = FieldSettings()
    encoder: EncoderSettings = StreamSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    loss: AnyLossSettings = AngularPrototypicalSettings()
    distillation: DistillationSettings = DistillationSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := [*_missing_clips(self), *_clashing_kinds(self), *_clashing_loss(self)]:
            raise ValueError("\n".join(problems))
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
    if isinstance(scenes, SceneSettings):
        yield f"scenes.kind: {encoder.kind} learns from clips of one length; say kind = 'center_crop' or 'tiled_crop'"
    elif scenes.length_s != encoder.length_s:
        yield f"scenes.length_s: {scenes.length_s:g} s, but encoder.length_s is {encoder.length_s:g} s"
    if isinstance(scenes, TiledCropSettings) and recipe.data.silence:
        yield "data.silence: a tiled crop has no silence; say scenes.kind = 'center_crop', or leave it out"
    if recipe.distillation.weight or recipe.data.copies:
        yield f"distillation and data.copies are for encoders of streams; {encoder.kind} has no frames to learn"


def _clashing_loss(recipe: Recipe) -> Iterator[str]:
    loss, shape = recipe.loss, recipe.episodes
    if shape.utterances < loss.least_utterances:
        yield f"episodes.utterances: {loss.kind} needs {loss.least_utterances} or more of each class"
    if shape.background and not loss.takes_background:
        yield f"episodes.background: {loss.kind} has no use for it; set it to 0"


def read_recipe(path: str | Path, overrides: Sequence[str] = (), *, over: Path | None = None) -> Recipe:
    """Read a recipe.

    Args:
        path: a TOML file; relative paths in it start from its folder. With ``extends = "other.toml"`` it says only
            what differs from another recipe.
        overrides: ``a.b=value`` each, the value as in TOML (a bare word is a string); relative paths start from the
            current folder.
        over: a file with parts of a recipe, such as ``[encoder]``, that replace those of this one.

    Raises:
        InputError: no such file, not TOML, an unknown key, a value of the wrong kind.
    """
    path = Path(path)
    return check_recipe(read_table(path, Recipe, overrides=overrides, over=over), str(path)).resolved()


def parse_recipe(table: dict[str, Any], folder: Path, where: str) -> Recipe:
    """A recipe from a table whose relative paths start from ``folder``."""
    return check_recipe(placed(table, [Recipe], folder), where).resolved()


def check_recipe(table: dict[str, Any], where: str) -> Recipe:
    """A recipe from a table, its paths as they stand.

    Raises:
        InputError: an unknown key, a value of the wrong kind; ``where`` says where the table comes from.
    """
    return checked(Recipe, table, where)


def portable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values, of each path only the last two parts: what it says on any machine."""
    values = recipe.model_dump(mode="json")
    data = values["data"]
    data["folder"] = end_of_path(data["folder"])
    for name in SOURCES:
        for source in data[name]:
            source["manifest"] = end_of_path(source["manifest"])
    if values["start"]["checkpoint"]:
        values["start"]["checkpoint"] = end_of_path(values["start"]["checkpoint"])
    return values
