"""All segments of a section that begin and end on a grid, as R. Algayres et al. (2022, arXiv 2204.05148) make them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from earmark.core.errors import InputError
from earmark.data.lists.list_format import FRAME_S
from earmark.data.lists.segments import SpeechSegment
from earmark.data.lists.spans import Span

# Times in lists are rounded: a section of 0.48 s may be 0.4799999 s long.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Grid:
    """Where segments may begin and end.

    Attributes:
        step_s: between two lines of the grid; its first line is where a section starts.
        shortest_s: of a segment.
        longest_s: of a segment.
    """

    step_s: float = 0.16
    shortest_s: float = 0.16
    longest_s: float = 0.96

    def __post_init__(self) -> None:
        # `not >=`, so that NaN is caught.
        if not self.step_s >= FRAME_S:
            raise InputError(f"--step: a frame of {FRAME_S:g} s or more, not {self.step_s:g}")
        if not self.shortest_s >= FRAME_S:
            raise InputError(f"--shortest: a frame of {FRAME_S:g} s or more, not {self.shortest_s:g}")
        if not self.longest_s >= self.shortest_s:
            raise InputError(f"--longest {self.longest_s:g}: less than --shortest {self.shortest_s:g}")
        if not self.steps:
            raise InputError(
                f"--step {self.step_s:g}: no multiple of it lies between --shortest {self.shortest_s:g} and --longest"
                f" {self.longest_s:g}; choose a smaller one"
            )

    @property
    def steps(self) -> range:
        """How many steps of the grid a segment may be long."""
        fewest = -int(-(self.shortest_s / self.step_s - _ROUNDING) // 1)
        return range(max(1, fewest), int(self.longest_s / self.step_s + _ROUNDING) + 1)

    @property
    def least_s(self) -> float:
        """Length of the shortest section that has a segment."""
        return self.steps.start * self.step_s

    def lines(self, section: Span) -> int:
        """How many whole steps fit into a section; what is left at its end is cut off."""
        return int((section.end_s - section.start_s) / self.step_s + _ROUNDING)

    def count(self, section: Span) -> int:
        """How many segments a section has: the sum over lengths of k steps of n - k + 1.

        >>> Grid().count(Span("a.wav", "anna", 0.0, 1.0))
        21
        """
        lines = self.lines(section)
        return sum(max(0, lines - steps + 1) for steps in self.steps)


def grid_segments(sections: Iterable[Span], grid: Grid | None = None) -> Iterator[SpeechSegment]:
    """The segments of sections, by their start and then by their end; nothing is kept.

    Args:
        sections: as many as you like.
        grid: where segments may begin and end.

    >>> section = Span("a.wav", "anna", 0.5, 0.9)
    >>> [(segment.start_s, segment.end_s) for segment in grid_segments([section])]
    [(0.5, 0.66), (0.5, 0.82), (0.66, 0.82)]
    """
    grid = grid or Grid()
    for section in sections:
        # Counted in whole steps: sums of 0.16 would drift, and lose segments of exactly the shortest length.
        times_s = [round(section.start_s + line * grid.step_s, 6) for line in range(grid.lines(section) + 1)]
        for first, start_s in enumerate(times_s):
            for end_s in times_s[first + grid.steps.start : first + grid.steps.stop]:
                yield SpeechSegment(section, start_s, min(end_s, section.end_s))
