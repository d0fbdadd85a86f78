"""Sequence recipes (kind ``sequences``): encoders of speech segments, trained on sections, pairs or labels."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from earmark.core.config import Settings, TaggedUnion, portable_path
from earmark.training.batches.section_augment import SectionAugmentSettings
from earmark.training.nn.encoders.segment import SegmentSettings
from earmark.training.nn.encoders.stream import StreamSettings
from earmark.training.nn.losses import AnyLossSettings
from earmark.training.nn.losses.nt_xent import NTXentSettings
from earmark.training.run.settings import RunSettings
from earmark.training.sequences.frames import ContextSettings, FrameSettings, LogMelFrameSettings, TowerFrameSettings
from earmark.training.sequences.samplers import GoldSettings, PairSettings, SectionSettings

_PATHS = ("folder", "audio", "sections", "pairs", "labeled", "held_out", "validation", "validation_audio")


class SequenceData(Settings):
    """Paths of the lists (see docs/segments.md) or manifests with the training and validation data of a recipe."""

    folder: Path = Field(description="folder for the stored frames and the packed audio of sections")
    audio: Path | None = Field(None, description="folder that the paths in lists start from; not needed for manifests")
    sections: Path | None = Field(
        None, description="list of the sections with speech; without it, each recording is one section"
    )
    pairs: Path | None = Field(None, description="list of pairs of similar segments, for example of `earmark mine`")
    labeled: Path | None = Field(None, description="list of segments with labels")
    held_out: Path | None = Field(
        None,
        description="list for the validation loss, of the same kind as the training list",
    )
    validation: Path | None = Field(None, description="list of labeled segments for the validation MAP")
    validation_audio: Path | None = Field(
        None, description="folder that the paths in `validation` start from; without it, `audio`"
    )


class SequenceRecipe(RunSettings):
    """A sequence recipe: all settings of a training run on segments of speech."""

    kind: Literal["sequences"] = Field("sequences", description="kind of recipe")
    data: SequenceData
    context: ContextSettings = ContextSettings()
    frames: FrameSettings = LogMelFrameSettings()
    encoder: Annotated[SegmentSettings | StreamSettings, TaggedUnion("segment")] = SegmentSettings()
    episodes: Annotated[SectionSettings | PairSettings | GoldSettings, TaggedUnion("sections")] = SectionSettings()
    augment: SectionAugmentSettings = SectionAugmentSettings()
    loss: AnyLossSettings = NTXentSettings()
    watch: Literal["map", "loss"] = Field(
        "map",
        description="metric that selects the best checkpoint: MAP on `data.validation`, or the loss on `data.held_out`",
    )

    @field_validator("loss", mode="before")
    @classmethod
    def _is_nt_xent(cls, value: object) -> object:
        """Make `nt_xent` the kind of a loss without ``kind``; in word recipes, another kind is the default."""
        return {"kind": "nt_xent"} | value if isinstance(value, dict) else value

    @property
    def drawn_from(self) -> str:
        """Key of `data` with the list that the training batches are drawn from."""
        return {"sections": "sections", "pairs": "pairs", "gold": "labeled"}[self.episodes.kind]

    def _problems(self) -> Iterator[str]:
        data, episodes = self.data, self.episodes
        if getattr(data, self.drawn_from) is None:
            yield f"data.{self.drawn_from}: episodes of kind {episodes.kind!r} need this list; name it"
        if self.augment.is_active and episodes.kind != "sections":
            yield (
                f"augment: episodes of kind {episodes.kind!r} use stored frames, so nothing is augmented; leave it out"
            )
        watched, other = ("validation", "held_out") if self.watch == "map" else ("held_out", "validation")
        if getattr(data, watched) is None:
            if self.stop_after:
                yield f"stop_after: early stopping needs the list data.{watched}; name it, or leave stop_after out"
            if getattr(data, other) is not None:
                yield f"watch: {self.watch!r} needs the list data.{watched}; name it, or set watch to the other metric"
        if self.loss.has_classes or self.loss.least_utterances > 2:
            yield (
                f"loss.kind: {self.loss.kind} needs classes or more than two segments per label, which segments do not "
                "have; choose nt_xent"
            )
        if isinstance(self.encoder, StreamSettings):
            if self.encoder.frames != "published":
                yield (
                    "encoder.frames: only the head of a stream encoder is trained on segments, not its tower; "
                    "set frames = 'published'"
                )
            if not isinstance(self.frames, TowerFrameSettings) or self.frames.late:
                yield "frames: a stream encoder needs the frames of its own tower; set kind = 'tower' and late = 0"

    def cost(self, numbers: Mapping[str, float]) -> float:
        """Select the cost that the best checkpoint minimizes: the negative MAP or the held-out loss, as in `watch`."""
        if self.watch == "loss":
            return numbers.get("held_out_loss", float("inf"))
        return -numbers.get("map", float("-inf"))


def portable(recipe: SequenceRecipe) -> dict[str, Any]:
    """Convert a recipe to JSON values that are the same on every machine: paths are cut to their last two parts."""
    values = recipe.model_dump(mode="json")
    for name in _PATHS:
        if values["data"][name]:
            values["data"][name] = portable_path(values["data"][name])
    if values["start"]["checkpoint"]:
        values["start"]["checkpoint"] = portable_path(values["start"]["checkpoint"])
    model = values["frames"].get("model", "")
    if Path(model).is_absolute():
        values["frames"]["model"] = portable_path(model)
    return values
