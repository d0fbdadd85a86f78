"""Lists of pairs of segments that are alike: `file1 spk1 s1 e1 file2 spk2 s2 e2 similarity`, and perhaps a batch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.lists.spans import AudioFolder, Span, read_lines, span_text, write_lines
from earmark.data.manifest import Clip, Manifest

COLUMNS = ("file1", "spk1", "s1", "e1", "file2", "spk2", "s2", "e2", "similarity", "batch")


@dataclass(frozen=True, slots=True)
class SegmentPair:
    """Two segments that are said to be alike.

    Attributes:
        first: one of them.
        second: the other.
        similarity: how alike they are, as a rule a cosine.
        batch: number of the batch that the pair is trained in, from 0; None where nobody has said.
    """

    first: Span
    second: Span
    similarity: float
    batch: int | None = None


def read_segment_pairs(path: Path, *, audio: Path | None = None) -> Iterator[SegmentPair]:
    """Read a list of pairs, one after the other.

    Args:
        path: the list.
        audio: folder that the paths start from; when given, every segment has to lie inside its recording.

    Raises:
        InputError: the list cannot be read or is empty; or a line is malformed, has a segment that ends before it
            starts or is shorter than a frame, or names a recording that is missing or ends earlier. The message names
            file and line.
    """
    recordings = None if audio is None else AudioFolder(audio)
    for line in read_lines(path, COLUMNS, optional=1):
        pair = SegmentPair(line.span(0), line.span(4), line.number_in(8))
        if len(line.values) == len(COLUMNS):
            if not line.values[9].isdecimal():
                raise InputError(f"{line.where}: batch is {line.values[9]!r}; it has to be a whole number from 0 on")
            pair = SegmentPair(pair.first, pair.second, pair.similarity, int(line.values[9]))
        if recordings is not None:
            recordings.check(pair.first, line.where)
            recordings.check(pair.second, line.where)
        yield pair


def write_segment_pairs(pairs: Iterable[SegmentPair], path: Path) -> int:
    """Write a list of pairs that `read_segment_pairs` reads back; returns how many.

    Raises:
        InputError: a path or speaker that a list cannot hold.
    """
    return write_lines(pairs, path, pair_text)


def pair_text(pair: SegmentPair) -> str:
    """A pair as a list writes it.

    >>> pair_text(SegmentPair(Span("a.wav", "anna", 0, 0.5), Span("b.wav", "", 1, 1.5), 0.875))
    'a.wav anna 0 0.5 b.wav - 1 1.5 0.875'
    """
    batch = "" if pair.batch is None else f" {pair.batch}"
    return f"{span_text(pair.first)} {span_text(pair.second)} {round(pair.similarity, 6)}{batch}"


def manifest_of_pairs(pairs: Iterable[SegmentPair], folder: Path) -> Manifest:
    """A manifest in which the two clips of a pair, and no others, have the same label: the pair's number.

    So that whatever trains on labels trains on pairs. Similarities and batches are left out.
    """
    clips = tuple(
        Clip(side.path, side.start_s, side.end_s, side.speaker, f"pair{number}")
        for number, pair in enumerate(pairs)
        for side in (pair.first, pair.second)
    )
    return Manifest(clips, folder)
