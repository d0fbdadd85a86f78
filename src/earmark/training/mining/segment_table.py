"""Segments as a table of numbers, which takes 28 MB per million segments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip
from earmark.training.mining.settings import Relation

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
Rows = NDArray[np.void]

ROW = np.dtype(
    [("file", np.int32), ("speaker", np.int32), ("label", np.int32), ("start_s", np.float64), ("end_s", np.float64)]
)
# Times in lists are rounded, so that adjacent segments may overlap by this time.
_ROUNDING_S = 0.001


@dataclass(eq=False)
class Names:
    """Names of files, speakers and labels by number; an unknown speaker or label is "".

    Attributes:
        file: paths of recordings, relative to the corpus folder.
        speaker: names of speakers.
        label: labels.
    """

    file: list[str] = field(default_factory=list)
    speaker: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    _numbers: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)

    def rows(self, clips: Sequence[Clip]) -> Rows:
        """Convert segments to rows of numbers, shape (m,); new names of files, speakers and labels are added."""
        values = [
            (
                self._number("file", clip.path),
                self._number("speaker", clip.speaker),
                self._number("label", clip.label),
                clip.start_s,
                clip.end_s,
            )
            for clip in clips
        ]
        return np.array(values, ROW)

    def counts(self) -> dict[str, int]:
        """Number of names in each of the columns `file`, `speaker` and `label`."""
        return {column: len(getattr(self, column)) for column in ("file", "speaker", "label")}

    def since(self, counts: Mapping[str, int]) -> dict[str, list[str]]:
        """Select the names in each column that were added after :meth:`counts` returned `counts`."""
        return {column: getattr(self, column)[count:] for column, count in counts.items()}

    def add(self, names: Mapping[str, Any]) -> None:
        """Add the names in `names`, a list for each column, that the columns do not contain yet."""
        for column in self.counts():
            for name in names[column]:
                self._number(column, name)

    def _number(self, column: str, name: str) -> int:
        known = self._numbers.setdefault(column, {})
        if name not in known:
            known[name] = len(known)
            getattr(self, column).append(name)
        return known[name]


@dataclass(frozen=True, eq=False)
class SegmentTable:
    """Segments in search order: sorted by speaker, then by recording, then by time.

    Attributes:
        rows: the segments, shape (n,), of type `ROW`.
        speaker_id: number of the speaker, shape (n,); each recording of an unknown speaker has its own number.
        names: names of the numbers in `rows`.
    """

    rows: Rows
    speaker_id: Ints
    names: Names

    def __len__(self) -> int:
        return len(self.rows)

    def span(self, row: int) -> Span:
        """Return the path, speaker, start and end of the segment in a row."""
        file, speaker, _, start_s, end_s = self.rows[row].tolist()
        return Span(self.names.file[file], self.names.speaker[speaker], start_s, end_s)

    def label(self, row: int) -> str:
        """Return the label of the segment in a row; it is empty if the label is unknown."""
        return self.names.label[self.rows["label"][row]]

    def may_pair(self, first: Ints, second: Ints, relation: Relation) -> Bools:
        """Whether the segments in rows `first` may be neighbors of those in rows `second`; the arrays are broadcast.

        Neighbors are segments of the same speaker, of two speakers, or of any speakers, as `relation` says. Segments of
        one recording that overlap in time contain the same audio, and are never neighbors.
        """
        one, other = self.rows[first], self.rows[second]
        shared_s = np.minimum(one["end_s"], other["end_s"]) - np.maximum(one["start_s"], other["start_s"])
        is_allowed = (one["file"] != other["file"]) | (shared_s <= _ROUNDING_S)
        match relation:
            case "same":
                is_allowed &= self.speaker_id[first] == self.speaker_id[second]
            case "across":
                is_allowed &= self.speaker_id[first] != self.speaker_id[second]
            case "any":
                pass
        return is_allowed


def sort_segments(rows: Rows, names: Names) -> tuple[SegmentTable, Ints]:
    """Sort segments by speaker, then by recording, then by time.

    Args:
        rows: the segments in the order of a list, shape (n,).
        names: names of the numbers in `rows`.

    Returns:
        The table, and the index into `rows` of each of its segments, shape (n,).
    """
    is_known = np.array([bool(name) for name in names.speaker])[rows["speaker"]]
    speaker_id = np.where(is_known, rows["speaker"], len(names.speaker) + rows["file"])
    order = np.lexsort((rows["end_s"], rows["start_s"], rows["file"], speaker_id))
    return SegmentTable(rows[order], speaker_id[order], names), order
