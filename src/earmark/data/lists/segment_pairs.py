"""Lists of similar segments: lines `file1 spk1 s1 e1 file2 spk2 s2 e2 similarity`, with or without a last `batch`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.list_format import ListFormat, count, number, read_records, write_records
from earmark.data.lists.spans import Span, span_columns, span_values


@dataclass(frozen=True, slots=True)
class SegmentPair:
    """Two similar segments.

    Attributes:
        first: the first segment.
        second: the second segment.
        similarity: similarity of both segments, usually the cosine of their embeddings.
        batch: number of the training batch that contains the pair, from 0; None when unknown.
    """

    first: Span
    second: Span
    similarity: float
    batch: int | None = None

    @property
    def spans(self) -> tuple[Span, Span]:
        """Both segments, to check them against their recordings."""
        return self.first, self.second


def _values(pair: SegmentPair) -> tuple[object, ...]:
    values = (*span_values(pair.first), *span_values(pair.second), pair.similarity)
    return values if pair.batch is None else (*values, pair.batch)


SEGMENT_PAIRS = ListFormat(
    lambda *values: SegmentPair(Span(*values[:4]), Span(*values[4:8]), *values[8:]),
    (
        *span_columns("file1", "spk1", "s1", "e1"),
        *span_columns("file2", "spk2", "s2", "e2"),
        number("similarity"),
        count("batch"),
    ),
    values=_values,
    spans=(2, 6),
    optional=1,
)


def read_segment_pairs(path: Path, *, audio: Path | None = None) -> Iterator[SegmentPair]:
    """Read a list of pairs of segments, one by one.

    Args:
        path: the list.
        audio: folder that the paths start from; when given, every segment must be inside its recording.

    Raises:
        InputError: see `read_records`; or a recording is missing or ends before the segment.
    """
    return read_records(path, SEGMENT_PAIRS, None if audio is None else AudioFolder(audio).check_record)


def write_segment_pairs(pairs: Iterable[SegmentPair], path: Path) -> int:
    """Write a list of pairs of segments; return their number.

    Raises:
        InputError: a path or speaker has spaces.
    """
    return write_records(pairs, path, SEGMENT_PAIRS)
