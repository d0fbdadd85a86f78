"""Find a query in an index: cosines of all windows, or of those near what FAISS names; then the best of each place."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from earmark.core.errors import EarmarkError, InputError
from earmark.search.contents import SEGMENTS, Contents, read_contents
from earmark.search.faiss_index import Neighbors, lengths_of
from earmark.search.hits import Hit
from earmark.search.query import Query
from earmark.search.segments import Segment, open_segment
from earmark.search.windows import NEVER, Floats, dot_products, grid, score_windows

Ints = NDArray[np.int64]
Tempo = Annotated[float, Field(gt=0.2, lt=5)]

_PIECE = 32_768  # rows compared at a time
_ATTEMPTS = 3


class SearchSettings(BaseModel):
    """How to search. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tempo_range: tuple[Tempo, Tempo] = (0.84, 1.2)
    """Shortest and longest of the windows that are compared, relative to the query's own length."""
    overlap: float = Field(default=0.5, gt=0, le=1)
    """Of two hits in one file that share more than this of the shorter one, the better one stays."""
    candidates: int = Field(default=1000, ge=1)
    """Windows of each segment that FAISS names, at least; ten for each wanted hit where that is more."""
    probes: int = Field(default=32, ge=1)
    """Inverted lists that FAISS looks into."""
    around_s: float = Field(default=0.3, ge=0, le=2)
    """How far around what FAISS names the best window is looked for."""


@dataclass(frozen=True, eq=False)
class Archive:
    """An opened index; made by `open_archive`. What is indexed later is not seen by it."""

    path: Path
    contents: Contents
    segments: tuple[Segment, ...]

    @property
    def hours(self) -> float:
        """Of the sections that are indexed."""
        return sum(segment.kept_frames for segment in self.segments) * self.contents.encoder.hop_s / 3600

    @property
    def file_count(self) -> int:
        """How many files are indexed."""
        return sum(entry.files - len(entry.removed) for entry in self.contents.segments)

    @property
    def has_neighbors(self) -> bool:
        """Whether FAISS can name places in all segments."""
        return bool(self.segments) and all(entry.codebook for entry in self.contents.segments)

    @cached_property
    def neighbors(self) -> tuple[Neighbors, ...]:
        """The neighbors index of each segment."""
        lengths = lengths_of(self.contents.settings, self.contents.encoder.hop_s)
        return tuple(Neighbors(segment.folder, lengths) for segment in self.segments)


class _Span(NamedTuple):
    """Rows of one piece or section: the first that is needed, the first whose window counts, the row after the last."""

    first: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Windows that are better than those beside them.

    Attributes:
        scores: shape (m,).
        places: shape (m, 4): number of the segment, section, row before which a window ends, its length.
    """

    scores: Floats
    places: Ints

    @classmethod
    def of(cls, several: Sequence["_Peaks"]) -> "_Peaks":
        """Several ones together."""
        return cls(
            np.concatenate([np.zeros(0, np.float32), *(peaks.scores for peaks in several)]),
            np.concatenate([np.zeros((0, 4), np.int64), *(peaks.places for peaks in several)]),
        )

    def best(self, count: int) -> "_Peaks":
        """The best so many of them."""
        if len(self.scores) <= count:
            return self
        kept = np.argpartition(-self.scores, count)[:count]
        return _Peaks(self.scores[kept], self.places[kept])


def open_archive(path: str | Path) -> Archive:
    """Open an index for searching, also while another program adds to it.

    Raises:
        InputError: there is no index.
        EarmarkError: it is damaged.
    """
    path = Path(path)
    for attempt in range(_ATTEMPTS):
        contents = read_contents(path)
        try:
            segments = tuple(
                open_segment(path / SEGMENTS / entry.name, removed=set(entry.removed), width=contents.encoder.width)
                for entry in contents.segments
            )
        except FileNotFoundError as error:
            # Another program may have merged segments since the contents were read.
            if attempt + 1 < _ATTEMPTS:
                continue
            raise EarmarkError(f"{error.filename}: missing; delete the index and index anew") from None
        return Archive(path, contents, segments)
    raise AssertionError  # the loop returns or raises


def search(
    archive: Archive,
    query: Query,
    *,
    top: int | None = 10,
    threshold: float | None = None,
    exact: bool | None = None,
    without: Collection[str] = (),
    settings: SearchSettings | None = None,
) -> list[Hit]:
    """Where a query is heard in an archive, best first.

    Args:
        archive: from `open_archive`.
        query: made with the archive's encoder.
        top: how many hits at most; None for all that reach the threshold.
        threshold: hits have at least this score.
        exact: compare all windows; False for those near what FAISS names; None for what the index is made for.
        without: files that are left out, such as the one that the query was cut from.
        settings: how to search.

    Raises:
        InputError: the query was made with another encoder, or FAISS was asked for and knows nothing here.
    """
    settings = settings or SearchSettings()
    encoder = archive.contents.encoder
    if query.encoder != encoder.fingerprint:
        raise InputError(
            f"{archive.path}: was made by encoder {encoder.name!r} ({encoder.fingerprint[:12]}), and {query.name!r} "
            f"was embedded by {query.encoder[:12]}; embed it with that one, or index anew"
        )
    if exact is None:
        exact = not archive.has_neighbors
    if not exact and not archive.has_neighbors:
        raise InputError(
            f"{archive.path}: holds no neighbors index, since it is below "
            f"{archive.contents.settings.neighbors_from_h:g} h; search it exactly"
        )
    lengths = grid(encoder.hop_s)
    columns = _columns(lengths, query.duration_s / encoder.hop_s, settings)
    span = lengths[columns[0]], lengths[columns[-1]]
    floor = NEVER if threshold is None else np.float32(threshold)
    found = []
    for number, segment in enumerate(archive.segments):
        spans = _all_rows(segment, span[1])
        if not exact:
            wanted = max(settings.candidates, 10 * (top or 0))
            near = archive.neighbors[number].near(query.vector, wanted, settings.probes)
            spans = _rows_around(segment, *near, span, round(settings.around_s / encoder.hop_s))
        for together in _grouped(spans):
            rows, begins, is_wanted = _rows_of(segment, together)
            numbers, scales, norms = (
                np.concatenate([stored[first:high] for first, _, high in together])
                for stored in (segment.frames, segment.scales, segment.norms)
            )
            dots = dot_products(numbers, scales, query.vector, encoder.parts)
            scores, chosen = score_windows(dots, norms, begins, columns, lengths)
            peaks = _peaks(
                segment, rows, begins, np.where(is_wanted & (scores >= floor), scores, NEVER), chosen, number
            )
            found.append(peaks if top is None else peaks.best(20 * top + 200))
    return _best(archive, _Peaks.of(found), top, settings.overlap, set(without))


def _columns(lengths: Sequence[int], wanted: float, settings: SearchSettings) -> list[int]:
    """Which of the stored lengths are compared: those in the range of tempos, or else the nearest."""
    low, high = settings.tempo_range
    found = [column for column, length in enumerate(lengths) if low * wanted <= length <= high * wanted]
    return found or [int(np.argmin(np.abs(np.log(np.array(lengths) / wanted))))]


def _all_rows(segment: Segment, longest: int) -> Iterator[_Span]:
    """All rows, in pieces."""
    rows = int(segment.offsets[-1])
    for low in range(0, rows, _PIECE):
        yield _Span(max(0, low - longest), low, min(low + _PIECE, rows))


def _rows_around(segment: Segment, stops: Ints, lengths: Ints, wanted: tuple[int, int], around: int) -> Iterator[_Span]:
    """Rows around windows, none of another section.

    Args:
        segment: where they are.
        stops: shape (m,), row before which a window ends.
        lengths: shape (m,), how long it is.
        wanted: shortest and longest of the windows that are compared there.
        around: how many frames farther their middle may lie.
    """
    section = np.searchsorted(segment.offsets, stops - 1, side="right") - 1
    begins = segment.offsets[section]
    middle = stops - lengths // 2
    low = np.maximum(middle + wanted[0] // 2 - around, begins)
    high = np.minimum(middle + wanted[1] // 2 + around, segment.offsets[section + 1])
    last: _Span | None = None
    begun = -1
    for place in np.argsort(low, kind="stable").tolist():
        span = _Span(max(int(begins[place]), int(low[place]) - wanted[1]), int(low[place]), int(high[place]))
        if last is not None and begun == begins[place] and span.low <= last.high:
            last = last._replace(high=max(last.high, span.high))
            continue
        if last is not None:
            yield last
        last, begun = span, int(begins[place])
    if last is not None:
        yield last


def _grouped(spans: Iterable[_Span]) -> Iterator[list[_Span]]:
    """Spans in groups of about `_PIECE` rows: hundreds of short ones would cost hundreds of calls."""
    group: list[_Span] = []
    size = 0
    for span in spans:
        group.append(span)
        size += span.high - span.first
        if size >= _PIECE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _rows_of(segment: Segment, spans: Sequence[_Span]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """The rows of spans, one after the other.

    Returns:
        The rows, shape (n,); for each, where among these its section (or what is needed of it) begins, shape (n,); and
        whether its window counts, shape (n,).
    """
    sizes = [span.high - span.first for span in spans]
    rows = np.concatenate([np.arange(span.first, span.high) for span in spans])
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    firsts = np.repeat([span.first for span in spans], sizes)
    section = np.searchsorted(segment.offsets, rows, side="right") - 1
    begins = starts + np.maximum(segment.offsets[section] - firsts, 0)
    is_wanted = rows >= np.repeat([span.low for span in spans], sizes)
    return rows, begins, is_wanted & segment.is_kept[section]


def _peaks(segment: Segment, rows: Ints, begins: Ints, scores: Floats, lengths: Ints, number: int) -> _Peaks:
    """The windows that are better than those of the frames before and after, in the same section."""
    is_first = begins == np.arange(len(rows))
    before = np.where(is_first, NEVER, np.append(NEVER, scores[:-1]))
    after = np.where(np.append(is_first[1:], True), NEVER, np.append(scores[1:], NEVER))
    (found,) = np.nonzero((scores > NEVER) & (scores >= before) & (scores > after))
    section = np.searchsorted(segment.offsets, rows[found], side="right") - 1
    places = np.column_stack([np.full(len(found), number), section, rows[found] + 1, lengths[found]])
    return _Peaks(scores[found], places)


def _best(archive: Archive, peaks: _Peaks, top: int | None, overlap: float, without: Collection[str]) -> list[Hit]:
    """The best window of each place, best first."""
    hop_s = archive.contents.encoder.hop_s
    hits: list[Hit] = []
    taken: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for place in np.argsort(-peaks.scores, kind="stable").tolist():
        if top is not None and len(hits) >= top:
            break
        number, section, row, length = peaks.places[place].tolist()
        segment = archive.segments[number]
        file, first, _ = segment.sections[section].tolist()
        stop = first + row - int(segment.offsets[section])
        start = max(first, stop - length)
        others = taken.setdefault((number, file), [])
        if segment.files[file].path in without or any(_overlap(start, stop, *other) > overlap for other in others):
            continue
        others.append((start, stop))
        end_s = min(stop * hop_s, segment.files[file].duration_s)
        hits.append(Hit(segment.files[file].path, round(start * hop_s, 3), round(end_s, 3), float(peaks.scores[place])))
    return hits


def _overlap(start: int, stop: int, other_start: int, other_stop: int) -> float:
    """What two windows share, relative to the shorter one."""
    return (min(stop, other_stop) - max(start, other_start)) / min(stop - start, other_stop - other_start)
