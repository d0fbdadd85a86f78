"""What a batch is made of: stretched sections, pairs, or labeled segments, as Algayres et al. (2022) draw them.

Draw number i depends on the seed and on i alone, so that a run can resume anywhere.
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
"""A segment ends so long before its section, as published: its last frame is there in any tempo."""


class SectionSettings(Settings):
    """Two tempos of the same segments, all of one speaker: nobody has to know what is said."""

    kind: Literal["sections"] = Field("sections", description="two tempo variants of segments of one speaker")
    segments: int = Field(250, ge=2, description="segments a batch, each heard twice")
    seconds: float = Field(20.0, gt=0, description="sections are drawn until they are longer than this together")
    most_sections: int = Field(20, ge=1, description="sections a batch at most")
    least_sections: int = Field(20, ge=1, description="speakers with fewer sections are left out")
    shortest_s: float = Field(1.2, gt=0, description="shorter sections, in seconds, are left out")
    tempo: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.5, 1.8), description="range of the tempo, drawn for either variant"
    )
    context_s: float = Field(0.0, ge=0, description="seconds of the recording that are heard around a section")
    step_s: float = Field(
        0.16, gt=0, description="seconds between the lines of the grid on which segments begin and end"
    )
    least_s: float = Field(0.16, gt=0, description="seconds of the shortest segment")
    longest_s: float = Field(0.96, gt=0, description="seconds of the longest segment")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.tempo[0] > self.tempo[1]:
            raise ValueError(f"tempo: {self.tempo[0]:g} to {self.tempo[1]:g} is no range; write the slower tempo first")
        return self


class PairSettings(Settings):
    """Pairs that somebody says are alike."""

    kind: Literal["pairs"] = Field("pairs", description="pairs of a list")
    pairs: int = Field(256, ge=2, description="pairs a batch")
    same_file: bool = Field(False, description="also pairs of one recording, whose sound is alike whatever is said")
    longest_s: float = Field(2.0, gt=0, description="pairs with a longer segment, in seconds, are left out")


class GoldSettings(Settings):
    """Segments of the same label: what could be learned if all were transcribed."""

    kind: Literal["gold"] = Field("gold", description="two segments of a label")
    labels: int = Field(256, ge=2, description="labels a batch, no two alike; frequent ones come more often")
    longest_s: float = Field(2.0, gt=0, description="longer segments, in seconds, are left out")


@dataclass(frozen=True)
class StretchedSegments:
    """A batch of segments that are heard in two tempos.

    Attributes:
        sections: numbers of the sections, shape (k,).
        tempo: of their two variants, shape (k, 2).
        owner: the place among `sections` that a segment lies in, shape (n,).
        bounds: its start and end in seconds of the recording, shape (n, 2).
        seed: of what else happens to the variants.
    """

    sections: Ints
    tempo: Floats
    owner: Ints
    bounds: Floats
    seed: int = 0


class SectionDraws:
    """Draws batches of segments of one speaker.

    Args:
        sections: of all speakers.
        settings: of the batches.
        seed: of all draws.
        where: what names the sections, for messages.

    Raises:
        InputError: nobody has sections enough.
    """

    def __init__(
        self, sections: Sequence[Span], settings: SectionSettings, seed: int, where: str = "data.sections"
    ) -> None:
        self.settings, self.seed, self.sections = settings, seed, sections
        lengths = {"step_s": settings.step_s, "shortest_s": settings.least_s, "longest_s": settings.longest_s}
        self.grid = validate(Grid, lengths, where)
        # Two segments at least: one alone has no negative.
        least_s = max(settings.shortest_s, self.grid.least_s + self.grid.step_s + _END_S)
        by_speaker: dict[str, list[int]] = {}
        for number, section in enumerate(sections):
            if section.end_s - section.start_s >= least_s:
                by_speaker.setdefault(section.speaker or section.path, []).append(number)
        kept = [numbers for numbers in by_speaker.values() if len(numbers) >= settings.least_sections]
        if not kept:
            raise InputError(
                f"{where}: none of {len(by_speaker)} speakers has {settings.least_sections} sections of "
                f"{least_s:g} s or more; lower episodes.least_sections, or list who speaks"
            )
        self.speakers = [np.array(numbers, np.int64) for numbers in kept]
        counts = np.array([len(numbers) for numbers in kept], np.float64)
        self.weight = counts / counts.sum()

    def draw(self, number: int) -> StretchedSegments:
        """Batch ``number``: a speaker as likely as he has sections, some of them, and some of their segments."""
        settings, generator = self.settings, np.random.default_rng((self.seed, number))
        speaker = self.speakers[int(generator.choice(len(self.speakers), p=self.weight))]
        chosen = self._sections(generator.permutation(speaker))
        owner, bounds = self._segments(chosen)
        tempo = generator.uniform(*settings.tempo, (len(chosen), 2))
        # A short batch repeats nothing: a segment that came twice would be its own negative.
        some = generator.permutation(len(owner))[: settings.segments]
        return StretchedSegments(chosen, tempo, owner[some], bounds[some], int(generator.integers(1 << 31)))

    def _sections(self, shuffled: Ints) -> Ints:
        lengths = np.array([self.sections[number].end_s - self.sections[number].start_s for number in shuffled])
        enough = int(np.searchsorted(np.cumsum(lengths), self.settings.seconds, "right")) + 1
        return shuffled[: min(enough, self.settings.most_sections)]

    def _segments(self, chosen: Ints) -> tuple[Ints, Floats]:
        owner, bounds = [], []
        for place, number in enumerate(chosen.tolist()):
            section = self.sections[number]
            for segment in grid_segments([section], self.grid):
                if segment.end_s <= section.end_s - _END_S + 1e-9:
                    owner.append(place)
                    bounds.append((segment.start_s, segment.end_s))
        return np.array(owner, np.int64), np.array(bounds, np.float64).reshape(-1, 2)


class PairDraws:
    """Draws pairs, each as likely as any other; or the batches that a list names.

    In the published batches a pair may come twice, and then it is its own negative; here it comes once.

    Args:
        pairs: numbers of the two segments of each pair, shape (n, 2).
        batch: number of each pair's batch, shape (n,), or None where the list says nothing.
        settings: of the batches.
        seed: of all draws.
        where: what names the pairs, for messages.

    Raises:
        InputError: fewer than two pairs.
    """

    def __init__(
        self, pairs: Ints, batch: Ints | None, settings: PairSettings, seed: int, where: str = "data.pairs"
    ) -> None:
        if len(pairs) < 2:
            raise InputError(
                f"{where}: {len(pairs)} pairs are left; mine more of them, or raise episodes.longest_s, or set "
                "episodes.same_file = true"
            )
        self.settings, self.seed = settings, seed
        self.pairs = pairs
        self.batches = None if batch is None else _listed_batches(batch, where)

    def draw(self, number: int) -> Ints:
        """Numbers of segments, shape (pairs, 2), a pair a row."""
        if self.batches is not None:
            return self.pairs[self.batches[number % len(self.batches)]]
        generator = np.random.default_rng((self.seed, number))
        some = generator.choice(len(self.pairs), min(self.settings.pairs, len(self.pairs)), replace=False)
        return self.pairs[some]


class GoldDraws:
    """Draws labels, those with more segments more often, and two segments of each.

    Args:
        labels: number of each segment's label, shape (n,).
        settings: of the batches.
        seed: of all draws.
        where: what names the segments, for messages.

    Raises:
        InputError: fewer than two labels have two segments.
    """

    def __init__(self, labels: Ints, settings: GoldSettings, seed: int, where: str = "data.labeled") -> None:
        self.settings, self.seed = settings, seed
        order = np.argsort(labels, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        self.groups = [group for group in groups if len(group) > 1]
        if len(self.groups) < 2:
            raise InputError(f"{where}: {len(self.groups)} labels have two segments; two labels are needed")
        self.numbers = np.array([labels[group[0]] for group in self.groups], np.int64)
        counts = np.array([len(group) for group in self.groups], np.float64)
        self.weight = counts / counts.sum()

    def draw(self, number: int) -> tuple[Ints, Ints]:
        """Numbers of labels, shape (n,), and of two segments of each, shape (n, 2).

        In the published batches a label may come twice, and then it is its own negative; here it comes once.
        """
        generator = np.random.default_rng((self.seed, number))
        count = min(self.settings.labels, len(self.groups))
        chosen = generator.choice(len(self.groups), count, replace=False, p=self.weight)
        segments = [generator.choice(self.groups[place], 2, replace=False) for place in chosen.tolist()]
        return self.numbers[chosen], np.stack(segments)


def _listed_batches(batch: Ints, where: str) -> list[Ints]:
    """Rows of each batch, in the order of their numbers; a batch of one pair has no negative and is left out."""
    order = np.argsort(batch, kind="stable")
    bounds = [0, *(np.flatnonzero(np.diff(batch[order])) + 1).tolist(), len(order)]
    found = [order[first:stop] for first, stop in pairwise(bounds) if stop - first > 1]
    if not found:
        raise InputError(f"{where}: every batch of the list holds one pair; leave the tenth column out")
    return found
