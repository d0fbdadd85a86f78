"""Word recipes (kind ``words``): all settings of a training run on labeled clips, read from a TOML file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from earmark.core.config import Settings, TaggedUnion, portable_path, read_table, resolve_paths, validate
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
    """A source of clips: the path of a manifest, and which of its clips are used."""

    manifest: Path = Field(description="path of the manifest; relative to the recipe's folder")
    split: str = Field("", description="only the clips of this split; empty: all")
    prefix: str = Field(
        "", description="prefix that is added to each label, so that the same word in two languages is two classes"
    )
    labels: tuple[str, ...] = Field((), description="only the clips with these labels; empty: all")
    exclude: tuple[str, ...] = Field((), description="labels to drop")
    license: str = Field("", description="name and license of the corpus, for the model card")


class DataSettings(Settings):
    """Sources of the clips for training, validation and augmentation, and how clips become classes."""

    folder: Path = Field(description="folder of the packed clips; relative to the recipe's folder")
    words: tuple[Source, ...] = Field(min_length=1, description="labeled clips")
    classes: Literal["label", "speaker"] = Field(
        "label", description="classes of training and validation: words or speakers"
    )
    targets: tuple[str, ...] = Field((), description="labels of `words` that become classes; empty: all")
    others: Literal["class", "background", "leave-out"] = Field(
        "class",
        description="use of the other labels of `words`: one class `_unknown_`, background, or dropped",
    )
    silence: bool = Field(False, description="add a class `_silence_`; see `scenes.silence_gain`")
    sounds: tuple[Source, ...] = Field(
        (), description="clips that are used without labels: neighbors of words, background, and audio for distillation"
    )
    noise: tuple[Source, ...] = Field((), description="background noise; without a source, noise is synthetic")
    music: tuple[Source, ...] = Field((), description="music, for augmentation")
    speech: tuple[Source, ...] = Field((), description="speech of other speakers, for augmentation")
    rooms: tuple[Source, ...] = Field((), description="room impulse responses; without a source, they are synthetic")
    validation: tuple[Source, ...] = Field((), description="labeled clips that select the best checkpoint")
    known_validation: bool = Field(
        False, description="allow validation labels that are training labels, as with fixed targets"
    )
    background: tuple[Source, ...] = Field(
        (), description="sentences with transcripts for counting false alarms; without a source, those of `sounds`"
    )
    copies: int = Field(
        0,
        ge=0,
        description="scenes per clip that are drawn once and cached on disk; 0: draw new scenes in every step",
    )


SOURCES = ("words", "sounds", "noise", "music", "speech", "rooms", "validation", "background")
"""Keys of `DataSettings` that name manifests."""


class DistillationSettings(Settings):
    """Settings of distillation: the encoder learns to compute the frames of its teacher, the published tower."""

    weight: float = Field(
        0.0, ge=0, description="weight of the loss between the frames of encoder and teacher; 0: no distillation"
    )
    sounds: int = Field(0, ge=0, description="number of additional clips of `data.sounds` in each batch")


class Recipe(RunSettings):
    """A word recipe: all settings of a training run on labeled clips; the classes are words or speakers."""

    kind: Literal["words"] = Field("words", description="kind of recipe")
    data: DataSettings
    scenes: Annotated[SceneSettings | CenterCropSettings | TiledCropSettings, TaggedUnion("placed")] = SceneSettings()
    augment: AugmentSettings = FieldSettings()
    encoder: EncoderSettings = StreamSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    loss: AnyLossSettings = AngularPrototypicalSettings()
    distillation: DistillationSettings = DistillationSettings()

    def _problems(self) -> Iterator[str]:
        yield from _missing_clips(self)
        yield from _clashing_kinds(self)
        yield from _clashing_loss(self)


def _missing_clips(recipe: Recipe) -> Iterator[str]:
    asked = {"distillation.sounds": recipe.distillation.sounds, "episodes.background": recipe.episodes.background}
    has_others = bool(recipe.data.targets) and recipe.data.others == "background"
    for key, count in asked.items():
        if count and not recipe.data.sounds and not has_others:
            yield f"{key}: a batch needs {count} clips of data.sounds, which is empty; name a source"
    if recipe.stop_after and not recipe.data.validation:
        yield "stop_after: early stopping needs data.validation; name a source of clips, or leave stop_after out"


def _clashing_kinds(recipe: Recipe) -> Iterator[str]:
    encoder, scenes = recipe.encoder, recipe.scenes
    if isinstance(encoder, StreamSettings):
        if not isinstance(scenes, SceneSettings):
            yield "scenes.kind: a stream encoder needs scenes; set kind = 'placed'"
        if not isinstance(recipe.augment, FieldSettings):
            yield "augment.kind: a stream encoder needs field augmentation; set kind = 'field'"
        if recipe.data.silence:
            yield "data.silence: a stream encoder cannot have a class for silence; omit it, or use episodes.background"
        return
    if isinstance(scenes, SceneSettings):
        yield (
            f"scenes.kind: {encoder.kind} encoders need clips of one length; set kind = 'center_crop' or 'tiled_crop'"
        )
    elif scenes.length_s != encoder.length_s:
        yield (
            f"scenes.length_s: it is {scenes.length_s:g} s, but encoder.length_s is {encoder.length_s:g} s; "
            "make both equal"
        )
    if isinstance(scenes, TiledCropSettings) and recipe.data.silence:
        yield "data.silence: tiled crops cannot have a class for silence; omit it, or set scenes.kind = 'center_crop'"
    if recipe.distillation.weight or recipe.data.copies:
        yield (
            f"distillation, data.copies: these keys are for stream encoders only, not for the kind {encoder.kind}; "
            "omit them"
        )


def _clashing_loss(recipe: Recipe) -> Iterator[str]:
    loss, shape = recipe.loss, recipe.episodes
    if shape.utterances < loss.least_utterances:
        yield (
            f"episodes.utterances: the loss {loss.kind} needs at least {loss.least_utterances} utterances per class; "
            "raise it"
        )
    if shape.background and not loss.takes_background:
        yield f"episodes.background: the loss {loss.kind} cannot use background clips; set it to 0"


def read_recipe(path: str | Path, overrides: Sequence[str] = (), *, over: Path | None = None) -> Recipe:
    """Read a word recipe from a TOML file.

    Args:
        path: a TOML file; relative paths in it start from its folder. A file with ``extends = "other.toml"`` overrides
            keys of another recipe.
        overrides: values that replace those of the file, each as ``a.b=value``. The value is TOML, or a string without
            quotes; relative paths start from the current folder.
        over: a file with tables of a recipe, such as ``[encoder]``, which replace those of this recipe.

    Raises:
        InputError: the file is missing or not TOML, a key is unknown, or a value is wrong.
    """
    path = Path(path)
    return check_recipe(read_table(path, Recipe, overrides=overrides, over=over), str(path)).resolved()


def parse_recipe(table: dict[str, Any], folder: Path, where: str) -> Recipe:
    """Make a word recipe from a table; relative paths in it start from ``folder``, and ``where`` is for messages."""
    return check_recipe(resolve_paths(table, [Recipe], folder), where).resolved()


def check_recipe(table: dict[str, Any], where: str) -> Recipe:
    """Make a word recipe from a table, and leave its paths as they are.

    Raises:
        InputError: a key is unknown, or a value is wrong; ``where`` names the origin of the table.
    """
    return validate(Recipe, table, where)


def portable(recipe: Recipe) -> dict[str, Any]:
    """Convert a recipe to JSON values that are the same on every machine: paths are cut to their last two parts."""
    values = recipe.model_dump(mode="json")
    data = values["data"]
    data["folder"] = portable_path(data["folder"])
    for name in SOURCES:
        for source in data[name]:
            source["manifest"] = portable_path(source["manifest"])
    if values["start"]["checkpoint"]:
        values["start"]["checkpoint"] = portable_path(values["start"]["checkpoint"])
    return values
