"""Samplers that draw batches of stretched sections, of pairs, or of labeled segments, as in Algayres et al. (2022).

Batch i depends on the seed and the number i only, so that a run can resume at any step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, model_validator

from earmark.core.config import Settings, validate
from earmark.core.errors import InputError
from earmark.data.lists.spans import Span
from earmark.data.segments.grid import Grid, grid_segments

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_END_S = 0.01
"""A segment ends at least this many seconds before its section, so that its last frame exists in any tempo."""


class SectionSettings(Settings):
    """Settings of batches that have segments of one speaker, each in two tempos; they need no labels."""

    kind: Literal["sections"] = Field("sections", description="kind of batches: segments of one speaker in two tempos")
    segments: int = Field(250, ge=2, description="segments per batch, each in two tempos")
    seconds: float = Field(
        20.0, gt=0, description="sections are drawn until their total length exceeds this, in seconds"
    )
    most_sections: int = Field(20, ge=1, description="maximum number of sections per batch")
    least_sections: int = Field(20, ge=1, description="speakers with fewer sections are dropped")
    shortest_s: float = Field(1.2, gt=0, description="shorter sections, in seconds, are dropped")
    tempo: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.5, 1.8), description="range of the tempo, which is drawn for each of the two variants of a section"
    )
    context_s: float = Field(
        0.0, ge=0, description="context before and after a section that is stretched with it, in seconds"
    )
    step_s: float = Field(0.16, gt=0, description="step of the grid of starts and ends of segments, in seconds")
    least_s: float = Field(0.16, gt=0, description="length of the shortest segment, in seconds")
    longest_s: float = Field(0.96, gt=0, description="length of the longest segment, in seconds")

    @model_validator(mode="after")
    def _check_tempo(self) -> Self:
        if self.tempo[0] > self.tempo[1]:
            raise ValueError(f"tempo: {self.tempo[0]:g} is above {self.tempo[1]:g}; write the slower tempo first")
        return self


class PairSettings(Settings):
    """Settings of batches that have pairs of similar segments from a list."""

    kind: Literal["pairs"] = Field("pairs", description="kind of batches: listed pairs")
    pairs: int = Field(256, ge=2, description="pairs per batch")
    same_file: bool = Field(
        False, description="keep pairs of one recording, which are similar even if their words differ"
    )
    longest_s: float = Field(2.0, gt=0, description="pairs with a longer segment, in seconds, are dropped")


class GoldSettings(Settings):
    """Settings of batches that have pairs of segments with equal labels.

    The result is an upper bound for training without labels.
    """

    kind: Literal["gold"] = Field("gold", description="kind of batches: two segments per label")
    labels: int = Field(256, ge=2, description="labels per batch, all different; frequent labels are drawn more often")
    longest_s: float = Field(2.0, gt=0, description="longer segments, in seconds, are dropped")


@dataclass(frozen=True)
class StretchedSegments:
    """A batch of n segments, each of which is used in two tempos.

    Attributes:
        sections: numbers of the sections, shape (k,).
        tempo: tempos of the two variants of each section, shape (k, 2).
        section_index: index into `sections` of each segment's section, shape (n,).
        bounds: start and end of each segment in the recording, in seconds, shape (n, 2).
        seed: seed of the augmentation.
    """

    sections: Ints
    tempo: Floats
    section_index: Ints
    bounds: Floats
    seed: int = 0


class SectionSampler:
    """Draws batches that have segments of one speaker, from the speaker's sections in two tempos.

    Args:
        sections: sections of all speakers.
        settings: settings of the batches.
        seed: seed of all batches.
        where: recipe key of the list of sections, for messages.

    Raises:
        InputError: no speaker has enough sections.
    """

    def __init__(
        self, sections: Sequence[Span], settings: SectionSettings, seed: int, where: str = "data.sections"
    ) -> None:
        self.settings, self.seed, self.sections = settings, seed, sections
        lengths = {"step_s": settings.step_s, "shortest_s": settings.least_s, "longest_s": settings.longest_s}
        self.grid = validate(Grid, lengths, where)
        # A section must have at least two segments, because one segment alone has no negative.
        least_s = max(settings.shortest_s, self.grid.least_s + self.grid.step_s + _END_S)
        by_speaker: dict[str, list[int]] = {}
        for number, section in enumerate(sections):
            if section.end_s - section.start_s >= least_s:
                by_speaker.setdefault(section.speaker or section.path, []).append(number)
        kept = [numbers for numbers in by_speaker.values() if len(numbers) >= settings.least_sections]
        if not kept:
            raise InputError(
                f"{where}: none of {len(by_speaker)} speakers has {settings.least_sections} sections of "
                f"{least_s:g} s or more; lower episodes.least_sections, or list the speakers of the sections"
            )
        self.speakers = [np.array(numbers, np.int64) for numbers in kept]
        counts = np.array([len(numbers) for numbers in kept], np.float64)
        self.weight = counts / counts.sum()

    def draw(self, number: int) -> StretchedSegments:
        """Draw batch `number`: a random speaker's segments.

        The probability of a speaker is proportional to the speaker's number of sections.
        """
        settings, generator = self.settings, np.random.default_rng((self.seed, number))
        speaker = self.speakers[int(generator.choice(len(self.speakers), p=self.weight))]
        chosen = self._sections(generator.permutation(speaker))
        section_index, bounds = self._segments(chosen)
        tempo = generator.uniform(*settings.tempo, (len(chosen), 2))
        # No segment is repeated to fill a batch: a segment that occurs twice would be its own negative.
        some = generator.permutation(len(section_index))[: settings.segments]
        return StretchedSegments(chosen, tempo, section_index[some], bounds[some], int(generator.integers(1 << 31)))

    def _sections(self, shuffled: Ints) -> Ints:
        """Take sections from the front until their total length exceeds `settings.seconds`; at most `most_sections`."""
        lengths = np.array([self.sections[number].end_s - self.sections[number].start_s for number in shuffled])
        enough = int(np.searchsorted(np.cumsum(lengths), self.settings.seconds, "right")) + 1
        return shuffled[: min(enough, self.settings.most_sections)]

    def _segments(self, chosen: Ints) -> tuple[Ints, Floats]:
        """Divide the chosen sections into segments of all lengths of the grid.

        Returns:
            For each segment, the index into `chosen` of its section, shape (n,); and its start and end in seconds,
            shape (n, 2).
        """
        section_index, bounds = [], []
        for index, number in enumerate(chosen.tolist()):
            section = self.sections[number]
            for segment in grid_segments([section], self.grid):
                if segment.end_s <= section.end_s - _END_S + 1e-9:
                    section_index.append(index)
                    bounds.append((segment.start_s, segment.end_s))
        return np.array(section_index, np.int64), np.array(bounds, np.float64).reshape(-1, 2)


class PairSampler:
    """Draws batches of pairs of segments, each with equal probability, or the batches that the list of pairs defines.

    A pair occurs once in a batch. In the published batches, a pair may occur twice and is then its own negative.

    Args:
        pairs: numbers of the two segments of each pair, shape (n, 2).
        batch: number of each pair's batch, shape (n,); None if the list has no batches.
        settings: settings of the batches.
        seed: seed of all batches.
        where: recipe key of the list of pairs, for messages.

    Raises:
        InputError: fewer than two pairs.
    """

    def __init__(
        self, pairs: Ints, batch: Ints | None, settings: PairSettings, seed: int, where: str = "data.pairs"
    ) -> None:
        if len(pairs) < 2:
            raise InputError(
                f"{where}: {len(pairs)} pairs are left, but a batch needs two; mine more, raise episodes.longest_s, or "
                "set episodes.same_file = true"
            )
        self.settings, self.seed = settings, seed
        self.pairs = pairs
        self.batches = None if batch is None else _listed_batches(batch, where)

    def draw(self, number: int) -> Ints:
        """Draw batch `number`: numbers of segments, shape (pairs, 2)."""
        if self.batches is not None:
            return self.pairs[self.batches[number % len(self.batches)]]
        generator = np.random.default_rng((self.seed, number))
        some = generator.choice(len(self.pairs), min(self.settings.pairs, len(self.pairs)), replace=False)
        return self.pairs[some]


class GoldSampler:
    """Draws batches that have two segments of each of several labels.

    The probability of a label is proportional to its number of segments.

    Args:
        labels: number of each segment's label, shape (n,).
        settings: settings of the batches.
        seed: seed of all batches.
        where: recipe key of the list of segments, for messages.

    Raises:
        InputError: fewer than two labels have two segments.
    """

    def __init__(self, labels: Ints, settings: GoldSettings, seed: int, where: str = "data.labeled") -> None:
        self.settings, self.seed = settings, seed
        order = np.argsort(labels, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        self.groups = [group for group in groups if len(group) > 1]
        if len(self.groups) < 2:
            raise InputError(
                f"{where}: only {len(self.groups)} labels have two segments; list two segments of at least two labels"
            )
        self.numbers = np.array([labels[group[0]] for group in self.groups], np.int64)
        counts = np.array([len(group) for group in self.groups], np.float64)
        self.weight = counts / counts.sum()

    def draw(self, number: int) -> tuple[Ints, Ints]:
        """Draw batch `number`: numbers of labels, shape (n,), and of two segments of each label, shape (n, 2).

        A label occurs once in a batch. In the published batches, a label may occur twice and is then its own negative.
        """
        generator = np.random.default_rng((self.seed, number))
        count = min(self.settings.labels, len(self.groups))
        chosen = generator.choice(len(self.groups), count, replace=False, p=self.weight)
        segments = [generator.choice(self.groups[index], 2, replace=False) for index in chosen.tolist()]
        return self.numbers[chosen], np.stack(segments)


def _listed_batches(batch: Ints, where: str) -> list[Ints]:
    """Group the pairs of a list by their batch; batches with one pair are dropped.

    Args:
        batch: number of each pair's batch, shape (n,).
        where: recipe key of the list, for messages.

    Returns:
        For each batch, in the order of the numbers, the rows of its pairs.
    """
    order = np.argsort(batch, kind="stable")
    bounds = [0, *(np.flatnonzero(np.diff(batch[order])) + 1).tolist(), len(order)]
    found = [order[first:stop] for first, stop in pairwise(bounds) if stop - first > 1]
    if not found:
        raise InputError(
            f"{where}: all batches in the list have one pair, but need two; leave out the list's tenth column"
        )
    return found
