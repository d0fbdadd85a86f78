"""In which portions neighbors are looked for, so that none is lost to segments that may not be paired.

To ask for more neighbors than are wanted and drop those that may not be, one has to ask for as many more as there may
be: all of a speaker's, where others are wanted. Segments lie in order of speaker, recording and time, so what may not
be paired with a batch lies in one narrow range around it, the gap: within it every pair is looked at; all that lies
outside may be paired, and can be left to a plain search.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earmark.training.mining.segment_table import Ints, Places
from earmark.training.mining.settings import Relation

Range = tuple[int, int]
"""First row, and the one after the last."""

BATCH_ROWS = 1024


@dataclass(frozen=True)
class Batch:
    """Segments whose neighbors are looked for together.

    Attributes:
        rows: of the segments.
        reach: where their neighbors may lie.
        gap: inside of it, where each pair has to be looked at.
        is_gap_open: whether any pair in the gap may be allowed.
        spare: so many rows outside of the gap may not be paired with one of the segments, at most: another speaker's
            in the same recording at the same time.
    """

    rows: Range
    reach: Range
    gap: Range
    is_gap_open: bool
    spare: int

    def far(self) -> tuple[Range, Range]:
        """What of the reach lies before and after the gap."""
        return (self.reach[0], self.gap[0]), (self.gap[1], self.reach[1])


def plan_batches(places: Places, relation: Relation, size: int = BATCH_ROWS) -> Iterator[Batch]:
    """Cut all segments into batches, in their order.

    Args:
        places: the segments.
        relation: whose segments may be paired.
        size: segments of a batch, at most.
    """
    count = len(places)
    takes = [_edges(places.owner)] if relation != "any" else [_edges(places.owner), _edges(places.rows["file"])]
    edges = np.unique(np.concatenate(takes))
    strays = _strays(places) if relation != "same" else np.zeros(count, np.int64)
    longest_s = float((places.rows["end_s"] - places.rows["start_s"]).max()) if count else 0.0
    for low, high in _packed(edges, size):
        everything = (low, high) if relation == "same" else (0, count)
        if high - low <= size:
            is_open = relation != "across" or places.owner[low] != places.owner[high - 1]
            yield Batch((low, high), everything, (low, high), is_open, int(strays[low:high].max()))
            continue
        for start in range(low, high, size):
            stop = min(start + size, high)
            spare = int(strays[start:stop].max())
            if relation == "across":
                yield Batch((start, stop), everything, (low, high), False, spare)
            else:
                yield Batch((start, stop), everything, _window(places, start, stop, longest_s), True, spare)


def _edges(numbers: Ints) -> Ints:
    """Where numbers change, with both ends."""
    return np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]])


def _packed(edges: Ints, size: int) -> Iterator[Range]:
    """Ranges of whole units, as many as fit; a unit that is larger stands alone."""
    low = 0
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if stop - low > size and start > low:
            yield low, start
            low = start
    if edges[-1] > low:
        yield low, int(edges[-1])


def _window(places: Places, start: int, stop: int, longest_s: float) -> Range:
    """Some rows, and those before and after them that may overlap with them in time."""
    rows, owner = places.rows, places.owner

    def group(row: int) -> Range:
        """Rows of the same recording and speaker."""
        low, high = (int(edge) for edge in (np.searchsorted(owner, owner[row], side) for side in ("left", "right")))
        files = rows["file"][low:high]
        return low + int(np.searchsorted(files, files[row - low])), low + int(
            np.searchsorted(files, files[row - low], "right")
        )

    first, _ = group(start)
    begin, last = group(stop - 1)
    low = first + np.searchsorted(rows["start_s"][first:start], rows["start_s"][start] - longest_s - 0.01)
    end_s = rows["end_s"][max(begin, start) : stop].max()
    return int(low), stop + int(np.searchsorted(rows["start_s"][stop:last], end_s + 0.01))


def _strays(places: Places) -> Ints:
    """How many segments of other speakers overlap with each in its recording, at most; shape (n,)."""
    counts = np.zeros(len(places), np.int64)
    files, owners = places.rows["file"], places.owner
    both = np.unique(np.stack([files, owners]), axis=1)
    found, takes = np.unique(both[0], return_counts=True)
    shared = found[takes > 1]
    if not shared.size:
        return counts
    rows = np.flatnonzero(np.isin(files, shared))
    rows = rows[np.argsort(files[rows], kind="stable")]
    for some in np.split(rows, np.flatnonzero(np.diff(files[rows])) + 1):
        counts[some] = _overlapping(places, some)
        for owner in np.unique(owners[some]):
            own = some[owners[some] == owner]
            counts[own] -= _overlapping(places, own)
    return np.maximum(counts, 0)


def _overlapping(places: Places, some: Ints) -> Ints:
    """How many of some segments of a recording overlap with each of them."""
    start_s, end_s = places.rows["start_s"][some], places.rows["end_s"][some]
    return np.searchsorted(np.sort(start_s), end_s) - np.searchsorted(np.sort(end_s), start_s, "right")
