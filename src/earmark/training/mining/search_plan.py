"""Plan of a search: blocks of segments whose neighbors are searched together, and the candidates of each block.

A nearest-neighbor search also returns segments that may not be paired with the query, such as other segments of the
query's speaker. To replace them, the search would have to return that many more neighbors. The plan avoids this.
Segments are sorted by speaker, recording and time, so that the forbidden segments of a block are in one narrow range
around the block, the gap. All pairs inside the gap are compared and checked. Outside the gap, a plain search suffices.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earmark.training.mining.segment_table import Ints, SegmentTable
from earmark.training.mining.settings import Relation

Range = tuple[int, int]
"""A range of rows: the first row, and the row after the last."""

BLOCK_ROWS = 1024
"""Maximum number of segments in a block."""


@dataclass(frozen=True)
class QueryBlock:
    """A block of segments whose neighbors are searched together, and the rows that are searched for them.

    Attributes:
        rows: rows of the segments.
        candidates: range of rows that contains all neighbors of the block.
        gap: part of `candidates` in which all pairs are compared.
        has_pairs_in_gap: whether the gap may contain neighbors.
        overlaps: maximum number of rows outside the gap that may not be paired with a segment of the block. These are
            segments of other speakers in the same recording that overlap in time.
    """

    rows: Range
    candidates: Range
    gap: Range
    has_pairs_in_gap: bool
    overlaps: int

    def outside_gap(self) -> tuple[Range, Range]:
        """Range of the candidates before the gap, and range of those after it."""
        return (self.candidates[0], self.gap[0]), (self.gap[1], self.candidates[1])


def plan_blocks(table: SegmentTable, relation: Relation, size: int = BLOCK_ROWS) -> Iterator[QueryBlock]:
    """Divide all segments of a table into consecutive blocks, and yield each with the candidates for its neighbors.

    Args:
        table: the segments.
        relation: relation of speakers whose segments may be paired.
        size: maximum number of segments in a block.
    """
    count = len(table)
    columns = [table.speaker_id] if relation != "any" else [table.speaker_id, table.rows["file"]]
    boundaries = np.unique(np.concatenate([_boundaries(column) for column in columns]))
    overlaps = _overlaps_across_speakers(table) if relation != "same" else np.zeros(count, np.int64)
    longest_s = float((table.rows["end_s"] - table.rows["start_s"]).max()) if count else 0.0
    for low, high in _packed(boundaries, size):
        candidates = (low, high) if relation == "same" else (0, count)
        if high - low <= size:
            has_pairs = relation != "across" or table.speaker_id[low] != table.speaker_id[high - 1]
            yield QueryBlock((low, high), candidates, (low, high), has_pairs, int(overlaps[low:high].max()))
            continue
        for start in range(low, high, size):
            stop = min(start + size, high)
            most = int(overlaps[start:stop].max())
            if relation == "across":
                yield QueryBlock((start, stop), candidates, (low, high), False, most)
            else:
                gap = _overlap_window(table, start, stop, longest_s)
                yield QueryBlock((start, stop), candidates, gap, True, most)


def _boundaries(numbers: Ints) -> Ints:
    """Find the boundaries of runs of equal numbers: 0, each index at which the number changes, and the length."""
    return np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]])


def _packed(boundaries: Ints, size: int) -> Iterator[Range]:
    """Yield ranges of rows, each of as many whole units as fit into `size` rows; a larger unit is a range by itself.

    Args:
        boundaries: first row of each unit, and the row after the last unit.
        size: maximum number of rows in a range.
    """
    low = 0
    for start, stop in zip(boundaries[:-1].tolist(), boundaries[1:].tolist(), strict=True):
        if stop - low > size and start > low:
            yield low, start
            low = start
    if boundaries[-1] > low:
        yield low, int(boundaries[-1])


def _overlap_window(table: SegmentTable, start: int, stop: int, longest_s: float) -> Range:
    """Extend a range of rows of one speaker by the speaker's rows that may overlap in time with a row of the range.

    Args:
        table: all segments, sorted by speaker, recording and time.
        start: first row of the range.
        stop: row after its last row.
        longest_s: length of the longest segment of the table, in seconds.
    """
    rows, speaker_id = table.rows, table.speaker_id

    def group(row: int) -> Range:
        """Find the range of the rows that have the same recording and speaker as a row."""
        low, high = (int(np.searchsorted(speaker_id, speaker_id[row], side)) for side in ("left", "right"))
        files = rows["file"][low:high]
        file = files[row - low]
        return low + int(np.searchsorted(files, file)), low + int(np.searchsorted(files, file, "right"))

    first, _ = group(start)
    begin, last = group(stop - 1)
    low = first + np.searchsorted(rows["start_s"][first:start], rows["start_s"][start] - longest_s - 0.01)
    end_s = rows["end_s"][max(begin, start) : stop].max()
    return int(low), stop + int(np.searchsorted(rows["start_s"][stop:last], end_s + 0.01))


def _overlaps_across_speakers(table: SegmentTable) -> Ints:
    """Count, for each segment, the segments of other speakers in its recording that overlap with it in time.

    Returns:
        Upper bounds of the counts, shape (n,).
    """
    counts = np.zeros(len(table), np.int64)
    files, speaker_ids = table.rows["file"], table.speaker_id
    pairs = np.unique(np.stack([files, speaker_ids]), axis=1)
    unique_files, speaker_counts = np.unique(pairs[0], return_counts=True)
    shared = unique_files[speaker_counts > 1]
    if not shared.size:
        return counts
    rows = np.flatnonzero(np.isin(files, shared))
    rows = rows[np.argsort(files[rows], kind="stable")]
    for in_file in np.split(rows, np.flatnonzero(np.diff(files[rows])) + 1):
        counts[in_file] = _overlap_counts(table, in_file)
        for speaker_id in np.unique(speaker_ids[in_file]):
            own = in_file[speaker_ids[in_file] == speaker_id]
            counts[own] -= _overlap_counts(table, own)
    return np.maximum(counts, 0)


def _overlap_counts(table: SegmentTable, rows: Ints) -> Ints:
    """Count, for each of n segments of one recording, how many of them overlap with it in time, itself included.

    Args:
        table: all segments.
        rows: rows of the n segments.

    Returns:
        The counts, shape (n,).
    """
    start_s, end_s = table.rows["start_s"][rows], table.rows["end_s"][rows]
    return np.searchsorted(np.sort(start_s), end_s) - np.searchsorted(np.sort(end_s), start_s, "right")
