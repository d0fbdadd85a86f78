"""Batches of a recipe of sequences before they are embedded: labels, and frames of two segments of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.data.lists.spans import Span
from earmark.training.sequences.draws import (
    GoldDraws,
    GoldSettings,
    PairDraws,
    PairSettings,
    SectionDraws,
    SectionSettings,
)
from earmark.training.sequences.frames import FrameSource
from earmark.training.sequences.networks import Cut, seen_around
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.segments import (
    Listed,
    SegmentFrames,
    read_listed,
    read_listed_pairs,
    read_listed_sections,
)
from earmark.training.sequences.variants import Variants
from earmark.training.words.corpus import digest

Ints = NDArray[np.int64]

_HELD_OUT = 1  # beside the seed: what is held out is drawn by other numbers than what teaches


@dataclass(frozen=True)
class Drawn:
    """A batch before it is embedded.

    Attributes:
        labels: shape (N,).
        cut: gives the segments of some of the N · 2 rows.
    """

    labels: Ints
    cut: Callable[[Ints], list[Cut]]


DrawCuts = Callable[[int], Drawn]


class Material:
    """The lists of a recipe, and the frames of their segments."""

    def __init__(
        self, recipe: SequenceRecipe, source: FrameSource, device: torch.device, *, progress: Progress = no_progress
    ) -> None:
        self.recipe, self.source, self.device, self.progress = recipe, source, device, progress
        sections = recipe.data.sections
        self.sections: list[Span] | None = None
        if sections is not None:
            self.sections, self.sections_audio = read_listed_sections(sections, recipe.data.audio)

    def draws(self, seed: int) -> DrawCuts:
        """What teaches."""
        data = self.recipe.data
        match self.recipe.episodes:
            case SectionSettings() as settings:
                assert self.sections is not None, "the recipe checks it"
                return self._stretched(self.sections, self.sections_audio, settings, seed, "data.sections")
            case PairSettings() as settings:
                assert data.pairs is not None, "the recipe checks it"
                return self._pairs(data.pairs, settings, seed, self.sections, "data.pairs")
            case GoldSettings() as settings:
                assert data.labeled is not None, "the recipe checks it"
                return self._gold(data.labeled, settings, seed, self.sections, "data.labeled")

    def held_out(self) -> DrawCuts | None:
        """What the loss is measured on, drawn as what teaches is."""
        data = self.recipe.data
        if data.held_out is None:
            return None
        seed, where = self.recipe.seed + _HELD_OUT, "data.held_out"
        match self.recipe.episodes:
            case SectionSettings() as settings:
                return self._stretched(*read_listed_sections(data.held_out, data.audio), settings, seed, where)
            case PairSettings() as settings:
                return self._pairs(data.held_out, settings, seed, None, where)
            case GoldSettings() as settings:
                return self._gold(data.held_out, settings, seed, None, where)

    def validation(self) -> SegmentFrames | None:
        """Labeled segments whose MAP is measured.

        Their recordings are heard whole, 20 s at a time, as whoever embeds segments later hears them; the published
        code hears each section with what stands around it.
        """
        data = self.recipe.data
        if data.validation is None:
            return None
        listed = read_listed(data.validation, data.validation_audio or data.audio)
        check_labels(listed, data.validation, "data.validation")
        check_repeated(listed, data.validation)
        return self._frames(listed, None)

    def _stretched(
        self, sections: Sequence[Span], folder: Path, settings: SectionSettings, seed: int, where: str
    ) -> DrawCuts:
        draws = SectionDraws(sections, settings, seed, where)
        bank = self._kept("sections", str(folder.resolve()), repr(sections), str(settings.context_s))
        hear = Variants(
            sections,
            folder,
            bank,
            settings.context_s,
            self.source,
            self.recipe.augment,
            self.device,
            progress=self.progress,
        )

        def drawn(number: int) -> Drawn:
            batch = draws.draw(number)
            return Drawn(np.arange(len(batch.owner)), lambda rows: hear.cuts(batch, rows))

        return drawn

    def _pairs(
        self, source: Path, settings: PairSettings, seed: int, sections: Sequence[Span] | None, where: str
    ) -> DrawCuts:
        listed = read_listed_pairs(
            source, self.recipe.data.audio, longest_s=settings.longest_s, same_file=settings.same_file
        )
        frames = self._frames(listed.segments, sections)
        has_frames = np.isin(listed.pairs, frames.kept).all(axis=1)
        batch = None if listed.batch is None else listed.batch[has_frames]
        draws = PairDraws(listed.pairs[has_frames], batch, settings, seed, where)

        def drawn(number: int) -> Drawn:
            pairs = draws.draw(number)
            return Drawn(np.arange(len(pairs)), lambda rows: frames.cuts(pairs.ravel()[rows].tolist()))

        return drawn

    def _gold(
        self, source: Path, settings: GoldSettings, seed: int, sections: Sequence[Span] | None, where: str
    ) -> DrawCuts:
        listed = read_listed(source, self.recipe.data.audio, longest_s=settings.longest_s)
        check_labels(listed, source, where)
        frames = self._frames(listed, sections)
        codes = np.unique([listed.clips[row].label for row in frames.kept], return_inverse=True)[1]
        draws = GoldDraws(codes.astype(np.int64), settings, seed, where)

        def drawn(number: int) -> Drawn:
            labels, segments = draws.draw(number)
            return Drawn(labels, lambda rows: frames.cuts(frames.kept[segments.ravel()[rows]].tolist()))

        return drawn

    def _frames(self, listed: Listed, sections: Sequence[Span] | None) -> SegmentFrames:
        # Of each corpus in a folder of its own: paths of two may be equal.
        context = self.recipe.context
        made_by = [self.source.fingerprint, context.model_dump_json(), str(listed.folder.resolve())]
        around = seen_around(self.recipe.encoder)
        folder = self._kept("frames", *made_by)
        return SegmentFrames(listed, sections, self.source, folder, context, around, progress=self.progress)

    def _kept(self, what: str, *made_by: str) -> Path:
        return self.recipe.data.folder / f"{what}-{digest(made_by)}"


def check_labels(listed: Listed, source: Path, where: str) -> None:
    """Check that every segment has a label.

    Raises:
        InputError: one has none.
    """
    if unlabeled := next((clip for clip in listed.clips if not clip.label), None):
        raise InputError(
            f"{where}: {unlabeled.path} from {unlabeled.start_s:g} s on has no label in {source}; label all segments"
        )


def check_repeated(listed: Listed, source: Path) -> None:
    """Check that some label has two segments.

    Raises:
        InputError: none has.
    """
    if len({clip.label for clip in listed.clips}) == len(listed.clips):
        raise InputError(f"data.validation: no label of {source} comes twice; add tokens of a label")
