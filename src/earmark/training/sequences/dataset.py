"""The dataset of a sequence recipe: reads its lists, and draws batches of segments with their frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.core.progress import Progress, no_progress
from earmark.data.lists.spans import Span
from earmark.training.sequences import samplers
from earmark.training.sequences.frames import FrameSource
from earmark.training.sequences.lists import (
    SegmentList,
    label_numbers,
    read_labeled_list,
    read_pair_list,
    read_section_list,
    read_validation_list,
)
from earmark.training.sequences.networks import Cut, context_frames
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.segment_frames import SegmentFrames
from earmark.training.sequences.stretched import StretchedSections
from earmark.training.words.corpus import digest

Ints = NDArray[np.int64]

_HELD_OUT = 1  # added to the seed, so that held-out batches are drawn with other random numbers than training batches


@dataclass(frozen=True)
class SegmentBatch:
    """A training batch: two segments of each of N labels, whose frames are cut on demand.

    Attributes:
        labels: numbers of the labels, shape (N,).
        cut: returns the segments of the given rows; rows 2 i and 2 i + 1 are the segments of label i.
    """

    labels: Ints
    cut: Callable[[Ints], list[Cut]]


DrawBatch = Callable[[int], SegmentBatch]
"""A function that returns the batch with a given number."""


class SequenceDataset:
    """Draws the training and validation batches of a sequence recipe.

    Args:
        recipe: the recipe.
        source: computes the frames.
        device: device that stretches waves.
        progress: counts recordings that are packed, and speakers whose frames are computed.
    """

    def __init__(
        self, recipe: SequenceRecipe, source: FrameSource, device: torch.device, *, progress: Progress = no_progress
    ) -> None:
        self.recipe, self.source, self.device, self.progress = recipe, source, device, progress
        sections = recipe.data.sections
        self.sections: list[Span] | None = None
        if sections is not None:
            self.sections, self.sections_audio = read_section_list(sections, recipe.data.audio)

    def training(self, seed: int) -> DrawBatch:
        """Read the training list, and return the function that draws training batches."""
        data = self.recipe.data
        match self.recipe.episodes:
            case samplers.SectionSettings() as settings:
                assert self.sections is not None, "the recipe checks it"
                return self._stretched(self.sections, self.sections_audio, settings, seed, "data.sections")
            case samplers.PairSettings() as settings:
                assert data.pairs is not None, "the recipe checks it"
                return self._pairs(data.pairs, settings, seed, self.sections, "data.pairs")
            case samplers.GoldSettings() as settings:
                assert data.labeled is not None, "the recipe checks it"
                return self._gold(data.labeled, settings, seed, self.sections, "data.labeled")

    def held_out(self) -> DrawBatch | None:
        """Return the function that draws the held-out batches of the validation loss; None without `data.held_out`."""
        data = self.recipe.data
        if data.held_out is None:
            return None
        seed, where = self.recipe.seed + _HELD_OUT, "data.held_out"
        match self.recipe.episodes:
            case samplers.SectionSettings() as settings:
                return self._stretched(*read_section_list(data.held_out, data.audio), settings, seed, where)
            case samplers.PairSettings() as settings:
                return self._pairs(data.held_out, settings, seed, None, where)
            case samplers.GoldSettings() as settings:
                return self._gold(data.held_out, settings, seed, None, where)

    def validation(self) -> SegmentFrames | None:
        """Compute the frames of the labeled segments for the validation MAP; None without `data.validation`.

        The frames are computed from whole recordings in chunks of `context.longest_s`, as `SequenceEmbedder` does. The
        published code computes them from each section and its context.
        """
        data = self.recipe.data
        if data.validation is None:
            return None
        return self._frames(read_validation_list(data.validation, data.validation_audio or data.audio), None)

    def _stretched(
        self, sections: Sequence[Span], folder: Path, settings: samplers.SectionSettings, seed: int, where: str
    ) -> DrawBatch:
        sampler = samplers.SectionSampler(sections, settings, seed, where)
        stretched = StretchedSections(
            sections,
            folder,
            self._folder("sections", str(folder.resolve()), repr(sections), str(settings.context_s)),
            settings.context_s,
            self.source,
            self.recipe.augment,
            self.device,
            progress=self.progress,
        )

        def draw(number: int) -> SegmentBatch:
            batch = sampler.draw(number)
            return SegmentBatch(np.arange(len(batch.section_index)), lambda rows: stretched.cuts(batch, rows))

        return draw

    def _pairs(
        self, source: Path, settings: samplers.PairSettings, seed: int, sections: Sequence[Span] | None, where: str
    ) -> DrawBatch:
        listed = read_pair_list(
            source, self.recipe.data.audio, longest_s=settings.longest_s, same_file=settings.same_file
        )
        frames = self._frames(listed.segments, sections)
        has_frames = np.isin(listed.pairs, frames.kept).all(axis=1)
        batch = None if listed.batch is None else listed.batch[has_frames]
        sampler = samplers.PairSampler(listed.pairs[has_frames], batch, settings, seed, where)

        def draw(number: int) -> SegmentBatch:
            pairs = sampler.draw(number)
            return SegmentBatch(np.arange(len(pairs)), lambda rows: frames.cuts(pairs.ravel()[rows].tolist()))

        return draw

    def _gold(
        self, source: Path, settings: samplers.GoldSettings, seed: int, sections: Sequence[Span] | None, where: str
    ) -> DrawBatch:
        listed = read_labeled_list(source, self.recipe.data.audio, where, longest_s=settings.longest_s)
        frames = self._frames(listed, sections)
        labels = label_numbers([listed.clips[row] for row in frames.kept])
        sampler = samplers.GoldSampler(labels, settings, seed, where)

        def draw(number: int) -> SegmentBatch:
            labels, segments = sampler.draw(number)
            return SegmentBatch(labels, lambda rows: frames.cuts(frames.kept[segments.ravel()[rows]].tolist()))

        return draw

    def _frames(self, listed: SegmentList, sections: Sequence[Span] | None) -> SegmentFrames:
        # Each corpus has its own folder, because two corpora may have the same paths.
        context = self.recipe.context
        made_by = [self.source.fingerprint, context.model_dump_json(), str(listed.folder.resolve())]
        around = context_frames(self.recipe.encoder)
        folder = self._folder("frames", *made_by)
        return SegmentFrames(listed, sections, self.source, folder, context, around, progress=self.progress)

    def _folder(self, what: str, *made_by: str) -> Path:
        return self.recipe.data.folder / f"{what}-{digest(made_by)}"
