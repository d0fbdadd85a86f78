"""Search an index for a query.

All windows are scored, or those near FAISS's candidates; of overlapping windows, the best is a hit.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.search.hits import Hit
from earmark.search.index import Index
from earmark.search.query import Query
from earmark.search.segments import IndexSegment
from earmark.search.windows import NO_SCORE, Floats, dot_products, score_windows, window_lengths

Ints = NDArray[np.int64]
Tempo = Annotated[float, Field(gt=0.2, lt=5)]


class HitLimits(Settings):
    """Limits on the hits of a search."""

    top: int = Field(10, ge=1, description="Largest number of hits.")
    threshold: float | None = Field(None, ge=-1, le=1, description="Lowest score of a hit; no limit if not given.")


class SearchSettings(Settings):
    """How an index is searched."""

    tempo_range: tuple[Tempo, Tempo] = Field(
        (0.84, 1.2), description="Shortest and longest windows that are scored, relative to the length of the query."
    )
    overlap: float = Field(
        0.5, gt=0, le=1, description="Hits in a file overlap by at most this share of the shorter one."
    )
    candidates: int = Field(
        1000, ge=1, description="Candidates from FAISS per segment; ten per wanted hit if that is more."
    )
    probes: int = Field(32, ge=1, description="Inverted lists that FAISS searches.")
    around_s: float = Field(0.3, ge=0, le=2, description="Audio around each candidate in which windows are scored.")
    chunk_frames: int = Field(32_768, ge=1, description="Frames scored at a time.")


class _Rows(NamedTuple):
    """A range of rows of a segment.

    Attributes:
        first: first row to read; the windows that end at `low` begin here or later.
        low: first row at which a wanted window ends.
        high: row after the last.
    """

    first: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Windows with higher scores than their neighbors.

    Attributes:
        scores: shape (m,).
        windows: number of the segment, region, row after the last frame, and length of each window, shape (m, 4).
    """

    scores: Floats
    windows: Ints

    @classmethod
    def concatenate(cls, parts: Sequence["_Peaks"]) -> "_Peaks":
        """Concatenate the peaks of several parts."""
        return cls(
            np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
            np.concatenate([np.zeros((0, 4), np.int64), *(part.windows for part in parts)]),
        )

    def best(self, count: int) -> "_Peaks":
        """Return the peaks with the highest scores, at most `count`."""
        if len(self.scores) <= count:
            return self
        kept = np.argpartition(-self.scores, count)[:count]
        return _Peaks(self.scores[kept], self.windows[kept])


def search(
    index: Index,
    query: Query,
    *,
    top: int | None = 10,
    threshold: float | None = None,
    exact: bool | None = None,
    without: Collection[str] = (),
    settings: SearchSettings | None = None,
) -> list[Hit]:
    """Find where the word of a query is said in the recordings of an index.

    Args:
        index: from `open_index`.
        query: made with the encoder of the index.
        top: largest number of hits; None for all.
        threshold: lowest score of a hit; None for no limit.
        exact: True scores all windows, False those near FAISS's candidates; None uses FAISS if the index has it.
        without: files to leave out, such as the recording of the query.
        settings: how to search.

    Returns:
        Hits, sorted by falling score.

    Raises:
        InputError: the query was made with another encoder, or `exact` is False and the index has no neighbor index.
    """
    settings = settings or SearchSettings()
    exact = _check(index, query, exact)
    lengths = window_lengths(index.encoder.hop_s)
    columns = _columns(lengths, query.duration_s / index.encoder.hop_s, settings)
    shortest, longest = lengths[columns[0]], lengths[columns[-1]]
    floor = NO_SCORE if threshold is None else np.float32(threshold)
    found = []
    for number, segment in enumerate(index.segments):
        if exact:
            ranges = _all_rows(segment, longest, settings.chunk_frames)
        else:
            count = max(settings.candidates, 10 * (top or 0))
            candidates = index.neighbors[number].search(query.vector, count, settings.probes)
            around = round(settings.around_s / index.encoder.hop_s)
            ranges = _rows_around(segment, *candidates, shortest, longest, around)
        for group in _grouped(ranges, settings.chunk_frames):
            rows, starts, is_wanted = _expand(segment, group)
            numbers, scales, norms = (
                np.concatenate([stored[first:high] for first, _, high in group])
                for stored in (segment.frames, segment.scales, segment.norms)
            )
            dots = dot_products(numbers, scales, query.vector, index.encoder.parts)
            scores, chosen = score_windows(dots, norms, starts, columns, lengths)
            scores = np.where(is_wanted & (scores >= floor), scores, NO_SCORE)
            peaks = _peaks(segment, number, rows, starts, scores, chosen)
            found.append(peaks if top is None else peaks.best(20 * top + 200))
    return _hits(index, _Peaks.concatenate(found), top, settings.overlap, set(without))


def _check(index: Index, query: Query, exact: bool | None) -> bool:
    """Return whether to score all windows; raise an error if the query or `exact` does not suit the index."""
    if query.encoder != index.encoder.fingerprint:
        raise InputError(
            f"{query.name}: embedded by the encoder {query.encoder[:12]}, but {index.path} was made by "
            f"{index.encoder}; embed the query with that encoder, or index the recordings again"
        )
    if exact is None:
        return not index.has_neighbors
    if not exact and not index.has_neighbors:
        raise InputError(
            f"{index.path}: FAISS cannot search this index, because it has less than "
            f"{index.contents.settings.neighbors_from_h:g} h of audio; set exact to score all windows"
        )
    return exact


def _columns(lengths: Sequence[int], wanted: float, settings: SearchSettings) -> list[int]:
    """Return the positions of the `lengths` to score: those in the tempo range around `wanted`, else the nearest."""
    low, high = settings.tempo_range
    found = [column for column, length in enumerate(lengths) if low * wanted <= length <= high * wanted]
    return found or [int(np.argmin(np.abs(np.log(np.array(lengths) / wanted))))]


def _all_rows(segment: IndexSegment, longest: int, chunk: int) -> Iterator[_Rows]:
    """Split all rows of a segment into ranges of `chunk` rows."""
    rows = int(segment.offsets[-1])
    for low in range(0, rows, chunk):
        yield _Rows(max(0, low - longest), low, min(low + chunk, rows))


def _rows_around(
    segment: IndexSegment, stops: Ints, lengths: Ints, shortest: int, longest: int, around: int
) -> Iterator[_Rows]:
    """Yield ranges of rows around candidate windows, within the regions of the windows.

    Args:
        segment: segment of the candidates.
        stops: row after the last frame of each candidate, shape (m,).
        lengths: frames of each candidate, shape (m,).
        shortest: frames of the shortest window to score.
        longest: frames of the longest window to score.
        around: frames by which the middle of a window may differ from that of the candidate.
    """
    region = segment.region_of(stops - 1)
    starts = segment.offsets[region]
    middle = stops - lengths // 2
    low = np.maximum(middle + shortest // 2 - around, starts)
    high = np.minimum(middle + longest // 2 + around, segment.offsets[region + 1])
    last: _Rows | None = None
    last_start = -1
    for candidate in np.argsort(low, kind="stable").tolist():
        start = int(starts[candidate])
        rows = _Rows(max(start, int(low[candidate]) - longest), int(low[candidate]), int(high[candidate]))
        if last is not None and last_start == start and rows.low <= last.high:
            last = last._replace(high=max(last.high, rows.high))
            continue
        if last is not None:
            yield last
        last, last_start = rows, start
    if last is not None:
        yield last


def _grouped(ranges: Iterable[_Rows], chunk: int) -> Iterator[list[_Rows]]:
    """Combine ranges into groups of about `chunk` rows, because scoring many short ranges one by one is slow."""
    group: list[_Rows] = []
    size = 0
    for rows in ranges:
        group.append(rows)
        size += rows.high - rows.first
        if size >= chunk:
            yield group
            group, size = [], 0
    if group:
        yield group


def _expand(segment: IndexSegment, ranges: Sequence[_Rows]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """List the rows of several ranges in one array.

    Returns:
        Three arrays of shape (n,): the rows; for each row, the position in this array where its region starts in its
        range; and whether the windows that end with the row are scored.
    """
    sizes = [rows.high - rows.first for rows in ranges]
    rows = np.concatenate([np.arange(first, high) for first, _, high in ranges])
    range_starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    firsts = np.repeat([first for first, _, _ in ranges], sizes)
    region = segment.region_of(rows)
    starts = range_starts + np.maximum(segment.offsets[region] - firsts, 0)
    is_wanted = rows >= np.repeat([low for _, low, _ in ranges], sizes)
    return rows, starts, is_wanted & segment.is_kept[region]


def _peaks(segment: IndexSegment, number: int, rows: Ints, starts: Ints, scores: Floats, lengths: Ints) -> _Peaks:
    """Find the windows that score higher than those that end one frame earlier or later in the same region."""
    is_first = starts == np.arange(len(rows))
    before = np.where(is_first, NO_SCORE, np.append(NO_SCORE, scores[:-1]))
    after = np.where(np.append(is_first[1:], True), NO_SCORE, np.append(scores[1:], NO_SCORE))
    (found,) = np.nonzero((scores > NO_SCORE) & (scores >= before) & (scores > after))
    region = segment.region_of(rows[found])
    windows = np.column_stack([np.full(len(found), number), region, rows[found] + 1, lengths[found]])
    return _Peaks(scores[found], windows)


def _hits(index: Index, peaks: _Peaks, top: int | None, overlap: float, without: Collection[str]) -> list[Hit]:
    """Make hits from peaks, sorted by falling score; drop a peak that overlaps a better one by more than `overlap`."""
    hop_s = index.encoder.hop_s
    hits: list[Hit] = []
    taken: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for peak in np.argsort(-peaks.scores, kind="stable").tolist():
        if top is not None and len(hits) >= top:
            break
        number, region, row, length = peaks.windows[peak].tolist()
        segment = index.segments[number]
        file, first, _ = segment.regions[region].tolist()
        stop = first + row - int(segment.offsets[region])
        start = max(first, stop - length)
        others = taken.setdefault((number, file), [])
        if segment.files[file].path in without or any(_overlap(start, stop, *other) > overlap for other in others):
            continue
        others.append((start, stop))
        end_s = min(stop * hop_s, segment.files[file].duration_s)
        hits.append(Hit(segment.files[file].path, round(start * hop_s, 3), round(end_s, 3), float(peaks.scores[peak])))
    return hits


def _overlap(start: int, stop: int, other_start: int, other_stop: int) -> float:
    """Return the overlap of two windows as a share of the shorter one."""
    return (min(stop, other_stop) - max(start, other_start)) / min(stop - start, other_stop - other_start)
