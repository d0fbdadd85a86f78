"""Find a query in an index: cosines of all windows, or of those near what FAISS names; then the best of each place."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from earmark.archive.contents import SEGMENTS, Contents, read_contents
from earmark.archive.hits import Hit
from earmark.archive.neighbours import Neighbours, lengths_of
from earmark.archive.query import Query
from earmark.archive.segments import Segment, open_segment
from earmark.archive.windows import NEVER, Floats, score_windows
from earmark.errors import EarmarkError, InputError

Ints = NDArray[np.int64]

_PIECE = 65_536  # rows made float32 at a time
_ATTEMPTS = 3


class SearchSettings(BaseModel):
    """How to search. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tempos: tuple[Annotated[float, Field(gt=0.2, lt=5)], ...] = Field(default=(0.85, 1.0, 1.2), min_length=1)
    """Lengths of the windows that are compared, relative to the query's own: said faster, alike, slower."""
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
    def has_neighbours(self) -> bool:
        """Whether FAISS can name places in all segments."""
        return bool(self.segments) and all(entry.codebook for entry in self.contents.segments)

    @cached_property
    def neighbours(self) -> tuple[Neighbours, ...]:
        """The neighbours index of each segment."""
        lengths = lengths_of(self.contents.settings, self.contents.encoder.hop_s)
        return tuple(Neighbours(segment.folder, lengths) for segment in self.segments)


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Windows that are better than those beside them: score, segment, section, last row + 1 and length of each."""

    scores: Floats
    segments: Ints
    sections: Ints
    stops: Ints
    lengths: Ints


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
        exact = not archive.has_neighbours
    if not exact and not archive.has_neighbours:
        raise InputError(
            f"{archive.path}: holds no neighbours index, since it is below "
            f"{archive.contents.settings.neighbours_from_h:g} h; search it exactly"
        )
    lengths = sorted({max(1, round(tempo * query.duration_s / encoder.hop_s)) for tempo in settings.tempos})
    kept = None if top is None else 20 * top + 200
    found = []
    for number, segment in enumerate(archive.segments):
        rows: Iterator[tuple[int, int, int]]
        if exact:
            rows = _all_rows(segment, max(lengths))
        else:
            wanted = max(settings.candidates, 10 * (top or 0))
            near = archive.neighbours[number].near(query.vector, wanted, settings.probes)
            rows = _rows_around(segment, *near, lengths, round(settings.around_s / encoder.hop_s))
        found.append(_peaks(segment, number, rows, query.vector, lengths, encoder.parts, threshold, kept))
    return _best(archive, found, top, settings.overlap, set(without))


def _all_rows(segment: Segment, longest: int) -> Iterator[tuple[int, int, int]]:
    """All rows in pieces: the first row that is needed, the first whose windows count, and the row after the last."""
    rows = int(segment.offsets[-1])
    for low in range(0, rows, _PIECE):
        yield max(0, low - longest), low, min(low + _PIECE, rows)


def _rows_around(
    segment: Segment, stops: Ints, lengths: Ints, wanted: Sequence[int], around: int
) -> Iterator[tuple[int, int, int]]:
    """Rows around windows: as `_all_rows`, without those of other sections."""
    section = np.searchsorted(segment.offsets, stops - 1, side="right") - 1
    middle = stops - lengths // 2
    low = np.maximum(middle + min(wanted) // 2 - around, segment.offsets[section])
    high = np.minimum(middle + max(wanted) // 2 + around, segment.offsets[section + 1])
    order = np.argsort(low, kind="stable")
    open_low, open_high, begin = -1, -1, 0
    for place in order.tolist():
        if open_high >= low[place] and begin == segment.offsets[section[place]]:
            open_high = max(open_high, int(high[place]))
            continue
        if open_high > open_low:
            yield max(begin, open_low - max(wanted)), open_low, open_high
        open_low, open_high, begin = int(low[place]), int(high[place]), int(segment.offsets[section[place]])
    if open_high > open_low:
        yield max(begin, open_low - max(wanted)), open_low, open_high


def _peaks(
    segment: Segment,
    number: int,
    spans: Iterator[tuple[int, int, int]],
    vector: Floats,
    lengths: Sequence[int],
    parts: int,
    threshold: float | None,
    kept: int | None,
) -> _Peaks:
    """The windows of a segment that are better than those beside them; the best `kept` of them."""
    floor = NEVER if threshold is None else np.float32(threshold)
    found: list[tuple[Floats, Ints, Ints, Ints]] = []
    for spans_together in _together(spans):
        rows = np.concatenate([np.arange(first, high) for first, _, high in spans_together])
        counts = np.concatenate([np.arange(first, high) >= low for first, low, high in spans_together])
        starts = np.cumsum([0, *(high - first for first, _, high in spans_together)])[:-1]
        frames = np.concatenate([segment.restore(first, high) for first, _, high in spans_together])
        section = np.searchsorted(segment.offsets, rows, side="right") - 1
        # Where a section begins among these rows, or where its rows begin.
        shift = np.repeat(starts - [first for first, _, _ in spans_together], [h - f for f, _, h in spans_together])
        span_start = np.repeat(starts, [high - first for first, _, high in spans_together])
        begins = np.maximum(segment.offsets[section] + shift, span_start)
        scores, chosen = score_windows(frames, begins, vector, lengths, parts)
        scores[~counts | ~segment.is_kept[section]] = NEVER
        before = np.append(NEVER, scores[:-1])
        after = np.append(scores[1:], NEVER)
        before[begins == np.arange(len(rows))] = NEVER
        after[:-1][section[1:] != section[:-1]] = NEVER
        (peak,) = np.nonzero((scores > NEVER) & (scores >= floor) & (scores >= before) & (scores > after))
        found.append((scores[peak], section[peak], rows[peak] + 1, chosen[peak]))
    empty = np.zeros(0, np.int64)
    columns = zip(*found, strict=True) if found else ((np.zeros(0, np.float32),), (empty,), (empty,), (empty,))
    scores, section, stops, chosen = (np.concatenate(column) for column in columns)
    if kept is not None and len(scores) > kept:
        best = np.argpartition(-scores, kept)[:kept]
        scores, section, stops, chosen = scores[best], section[best], stops[best], chosen[best]
    return _Peaks(scores, np.full(len(scores), number), section, stops, chosen)


def _together(spans: Iterator[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    """Spans of rows in groups of about `_PIECE` rows: hundreds of short ones would cost hundreds of calls."""
    group: list[tuple[int, int, int]] = []
    size = 0
    for span in spans:
        group.append(span)
        size += span[2] - span[0]
        if size >= _PIECE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _best(
    archive: Archive, found: Sequence[_Peaks], top: int | None, overlap: float, without: Collection[str]
) -> list[Hit]:
    """The best window of each place, best first."""
    scores = np.concatenate([np.zeros(0, np.float32), *(peaks.scores for peaks in found)])
    hop_s = archive.contents.encoder.hop_s
    hits: list[Hit] = []
    taken: dict[tuple[int, int], list[tuple[int, int]]] = {}
    columns = [
        np.concatenate([np.zeros(0, np.int64), *(getattr(peaks, name) for peaks in found)])
        for name in ("segments", "sections", "stops", "lengths")
    ]
    for place in np.argsort(-scores, kind="stable").tolist():
        if top is not None and len(hits) >= top:
            break
        number, section, row, length = (int(column[place]) for column in columns)
        segment = archive.segments[number]
        file, first, _ = segment.sections[section].tolist()
        stop = first + row - int(segment.offsets[section])
        start = max(first, stop - length)
        others = taken.setdefault((number, file), [])
        if segment.files[file].path in without or any(_overlap(start, stop, *other) > overlap for other in others):
            continue
        others.append((start, stop))
        times_s = round(start * hop_s, 3), round(min(stop * hop_s, segment.files[file].duration_s), 3)
        hits.append(Hit(segment.files[file].path, *times_s, float(scores[place])))
    return hits


def _overlap(start: int, stop: int, other_start: int, other_stop: int) -> float:
    """What two windows share, relative to the shorter one."""
    return (min(stop, other_stop) - max(start, other_start)) / min(stop - start, other_stop - other_start)
