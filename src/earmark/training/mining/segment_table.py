"""Where segments lie and who speaks, in columns of numbers: a million of them take 28 MB."""

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
# Segments of a grid that touch do not overlap, also where lists rounded their times.
_TOUCH_S = 0.001


@dataclass(eq=False)
class Names:
    """What the numbers in `ROW` stand for; "" is what nobody knows.

    Attributes:
        file: paths, from the folder of the corpus.
        speaker: who speaks.
        label: what is said.
    """

    file: list[str] = field(default_factory=list)
    speaker: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    _numbers: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)

    def rows(self, clips: Sequence[Clip]) -> Rows:
        """Segments as rows, shape (m,); names that are new are added."""
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
        """How many names there are of each kind."""
        return {kind: len(getattr(self, kind)) for kind in ("file", "speaker", "label")}

    def since(self, counts: Mapping[str, int]) -> dict[str, list[str]]:
        """Names that were added since there were so many."""
        return {kind: getattr(self, kind)[count:] for kind, count in counts.items()}

    def add(self, names: Mapping[str, Any]) -> None:
        """Names that follow those which are there."""
        for kind in self.counts():
            for name in names[kind]:
                self._number(kind, name)

    def _number(self, kind: str, name: str) -> int:
        known = self._numbers.setdefault(kind, {})
        if name not in known:
            known[name] = len(known)
            getattr(self, kind).append(name)
        return known[name]


@dataclass(frozen=True, eq=False)
class Places:
    """Segments in the order in which they are compared: by speaker, then by recording, then by time.

    Attributes:
        rows: shape (n,), of type `ROW`.
        owner: a number a speaker, shape (n,); recordings of nobody known have a number each.
        names: what the numbers in `rows` stand for.
    """

    rows: Rows
    owner: Ints
    names: Names

    def __len__(self) -> int:
        return len(self.rows)

    def span(self, row: int) -> Span:
        """A segment as lists write it."""
        file, speaker, _, start_s, end_s = self.rows[row].tolist()
        return Span(self.names.file[file], self.names.speaker[speaker], start_s, end_s)

    def label(self, row: int) -> str:
        """What is said in a segment."""
        return self.names.label[self.rows["label"][row]]

    def may_pair(self, first: Ints, second: Ints, relation: Relation) -> Bools:
        """Whether segments may be each other's neighbors; shapes are broadcast.

        Not those that overlap in time in one recording, whoever speaks: they are the same sound.
        """
        one, other = self.rows[first], self.rows[second]
        shared_s = np.minimum(one["end_s"], other["end_s"]) - np.maximum(one["start_s"], other["start_s"])
        is_fit = (one["file"] != other["file"]) | (shared_s <= _TOUCH_S)
        match relation:
            case "same":
                is_fit &= self.owner[first] == self.owner[second]
            case "across":
                is_fit &= self.owner[first] != self.owner[second]
            case "any":
                pass
        return is_fit


def ordered(rows: Rows, names: Names) -> tuple[Places, Ints]:
    """Put segments in the order in which they are compared.

    Args:
        rows: shape (n,), as a list has them.
        names: of them.

    Returns:
        Places, and which row of the list each is, shape (n,).
    """
    is_known = np.array([bool(name) for name in names.speaker])[rows["speaker"]]
    owner = np.where(is_known, rows["speaker"], len(names.speaker) + rows["file"])
    order = np.lexsort((rows["end_s"], rows["start_s"], rows["file"], owner))
    return Places(rows[order], owner[order], names), order
