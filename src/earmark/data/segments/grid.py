"""All segments of a section that begin and end on a grid, as in R. Algayres et al. (2022, arXiv 2204.05148)."""

from collections.abc import Iterable, Iterator
from typing import Self

from pydantic import Field, model_validator

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.data.lists.list_format import FRAME_S
from earmark.data.lists.segments import SpeechSegment
from earmark.data.lists.spans import Span

# Times in lists are rounded, so that a section of 0.48 s may be 0.4799999 s long.
_ROUNDING = 1e-4


class Grid(Settings):
    """Grid of the starts and ends of segments; the first grid line is at the start of the section."""

    step_s: float = Field(0.16, ge=FRAME_S, description="Distance between two lines of the grid.")
    shortest_s: float = Field(0.16, ge=FRAME_S, description="Length of the shortest segment.")
    longest_s: float = Field(0.96, ge=FRAME_S, description="Length of the longest segment.")

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.longest_s < self.shortest_s:
            raise InputError(
                f"{self.longest_s:g} is less than shortest_s, {self.shortest_s:g}; raise longest_s", key="longest_s"
            )
        if not self.steps:
            raise InputError(
                f"no multiple of {self.step_s:g} is between shortest_s, {self.shortest_s:g}, and longest_s,"
                f" {self.longest_s:g}; choose a smaller step",
                key="step_s",
            )
        return self

    @property
    def steps(self) -> range:
        """Possible lengths of a segment, in steps of the grid."""
        fewest = -int(-(self.shortest_s / self.step_s - _ROUNDING) // 1)
        return range(max(1, fewest), int(self.longest_s / self.step_s + _ROUNDING) + 1)

    @property
    def least_s(self) -> float:
        """Length of the shortest section that has a segment."""
        return self.steps.start * self.step_s

    def lines(self, section: Span) -> int:
        """Number of whole grid steps in a section; a remainder at the end is dropped."""
        return int((section.end_s - section.start_s) / self.step_s + _ROUNDING)

    def count(self, section: Span) -> int:
        """Number of segments of a section: the sum of n - k + 1 over lengths of k steps.

        >>> Grid().count(Span("a.wav", "anna", 0.0, 1.0))
        21
        """
        lines = self.lines(section)
        return sum(max(0, lines - steps + 1) for steps in self.steps)


def grid_segments(sections: Iterable[Span], grid: Grid | None = None) -> Iterator[SpeechSegment]:
    """Yield all segments on the grid, section by section, sorted by start and then by end, in constant memory.

    Args:
        sections: any number of sections.
        grid: starts and ends of segments.

    >>> section = Span("a.wav", "anna", 0.5, 0.9)
    >>> [(segment.start_s, segment.end_s) for segment in grid_segments([section])]
    [(0.5, 0.66), (0.5, 0.82), (0.66, 0.82)]
    """
    grid = grid or Grid()
    steps = grid.steps
    for section in sections:
        # Times are multiples of the step: sums would drift, and segments of exactly the shortest length would be lost.
        times_s = [round(section.start_s + line * grid.step_s, 6) for line in range(grid.lines(section) + 1)]
        for first, start_s in enumerate(times_s):
            for end_s in times_s[first + steps.start : first + steps.stop]:
                yield SpeechSegment(section, start_s, min(end_s, section.end_s))
