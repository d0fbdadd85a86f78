"""A recipe of kind ``sequences``: embeddings of short stretches of speech, from speech alone, pairs or labels."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from earmark.core.config import Settings, TaggedUnion, portable_path
from earmark.training.batches.section_augment import SectionAugmentSettings
from earmark.training.nn.encoders.segment import SegmentSettings
from earmark.training.nn.encoders.stream import StreamSettings
from earmark.training.nn.losses import AnyLossSettings
from earmark.training.nn.losses.nt_xent import NTXentSettings
from earmark.training.run.settings import RunSettings
from earmark.training.sequences.draws import GoldSettings, PairSettings, SectionSettings
from earmark.training.sequences.frames import ContextSettings, FrameSettings, LogMelFrameSettings, TowerFrameSettings

_PATHS = ("folder", "audio", "sections", "pairs", "labeled", "held_out", "validation", "validation_audio")


class SequenceData(Settings):
    """What is heard: lists, see docs/segments.md, or manifests."""

    folder: Path = Field(description="where the frames of the sections are kept; relative to the recipe's folder")
    audio: Path | None = Field(None, description="folder that the paths in lists start from; manifests know their own")
    sections: Path | None = Field(
        None, description="list of the sections in which somebody speaks; without it, a recording is one section"
    )
    pairs: Path | None = Field(
        None, description="list of pairs of segments that are alike, such as `earmark mine` finds"
    )
    labeled: Path | None = Field(None, description="list of segments with labels")
    held_out: Path | None = Field(
        None,
        description="a list as the one that is drawn from, of which nothing is learned: the loss on it is measured",
    )
    validation: Path | None = Field(None, description="list of segments with labels, whose MAP is measured")
    validation_audio: Path | None = Field(None, description="folder that its paths start from; without it, `audio`")


class SequenceRecipe(RunSettings):
    """All settings of a run that learns to embed segments."""

    kind: Literal["sequences"] = Field("sequences", description="what the recipe is for")
    data: SequenceData
    context: ContextSettings = ContextSettings()
    frames: FrameSettings = LogMelFrameSettings()
    encoder: Annotated[SegmentSettings | StreamSettings, TaggedUnion("segment")] = SegmentSettings()
    episodes: Annotated[
        SectionSettings | PairSettings | GoldSettings,
        TaggedUnion("sections"),
    ] = SectionSettings()
    augment: SectionAugmentSettings = SectionAugmentSettings()
    loss: AnyLossSettings = NTXentSettings()
    watch: Literal["map", "loss"] = Field(
        "map",
        description="what the best checkpoint is chosen by: MAP of `data.validation`, or the loss of `data.held_out`",
    )

    @field_validator("loss", mode="before")
    @classmethod
    def _is_nt_xent(cls, value: object) -> object:
        """A table that says no kind is of this loss; recipes of words have another default."""
        return {"kind": "nt_xent"} | value if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := [*self._problems()]:
            raise ValueError("\n".join(problems))
        return self

    @property
    def drawn_from(self) -> str:
        """The key of `data` that names the list that batches are drawn from."""
        return {"sections": "sections", "pairs": "pairs", "gold": "labeled"}[self.episodes.kind]

    def _problems(self) -> Iterator[str]:
        data, episodes = self.data, self.episodes
        if getattr(data, self.drawn_from) is None:
            yield f"data.{self.drawn_from}: episodes of kind {episodes.kind!r} are drawn from it; name the list"
        if self.augment.is_active and episodes.kind != "sections":
            yield f"augment: {episodes.kind} are learned from stored frames; leave them out"
        watched, other = ("validation", "held_out") if self.watch == "map" else ("held_out", "validation")
        if getattr(data, watched) is None:
            if self.stop_after:
                yield f"stop_after: without data.{watched} nothing says when to stop"
            if getattr(data, other) is not None:
                yield f"watch: {self.watch!r} needs data.{watched}; name it, or watch the other number"
        if self.loss.has_classes or self.loss.least_utterances > 2:
            yield f"loss.kind: {self.loss.kind} needs more than two segments of a kind; take nt_xent"
        if isinstance(self.encoder, StreamSettings):
            if self.encoder.frames != "published":
                yield "encoder.frames: only a head over the published frames learns from segments"
            if not isinstance(self.frames, TowerFrameSettings) or self.frames.late:
                yield "frames: an encoder of streams hears those of its tower; say kind = 'tower', late = 0"

    def cost(self, numbers: Mapping[str, float]) -> float:
        """See :class:`RunSettings`."""
        if self.watch == "loss":
            return numbers.get("held_out_loss", float("inf"))
        return -numbers.get("map", float("-inf"))


def portable(recipe: SequenceRecipe) -> dict[str, Any]:
    """See :func:`earmark.training.words.recipe.portable`."""
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
