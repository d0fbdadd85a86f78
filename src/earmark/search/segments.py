"""A segment: some recordings' frames in one folder, written once and never changed.

| file | what |
|---|---|
| `files.json` | what is known about each file |
| `sections.npy` | int64 (m, 3): file, the frame of it in which a section begins, how many frames |
| `frames.npy` | int8 (n, width): the frames of all sections, one after the other |
| `scales.npy` | float16 (n,): what a frame's numbers are multiplied with |
| `norms.npy` | float16 (n, g): how long the summed vectors of windows are (`earmark.search.windows`) |
| `windows.faiss` | the neighbors index of its windows, where there is one (`earmark.search.faiss_index`) |
"""

import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import EarmarkError
from earmark.search.embedding import Embedded, FileEntry
from earmark.search.storage import as_json, new_folder, read_array, write_array, write_bytes
from earmark.search.windows import Floats, restore

Ints = NDArray[np.int64]

NEIGHBOURS = "windows.faiss"
_ARRAYS = ("frames", "scales", "norms")


@dataclass(frozen=True, eq=False)
class Segment:
    """An opened segment.

    Attributes:
        folder: where it lies.
        files: what is known about each.
        sections: shape (m, 3): file, its first frame, how many frames.
        frames: shape (n, width), mapped into memory.
        scales: shape (n,), alike.
        norms: shape (n, g), alike.
        removed: numbers of the files that no longer count.
    """

    folder: Path
    files: tuple[FileEntry, ...]
    sections: Ints
    frames: NDArray[np.int8]
    scales: NDArray[np.float16]
    norms: NDArray[np.float16]
    removed: frozenset[int] = frozenset()

    @cached_property
    def offsets(self) -> Ints:
        """For each section, the row of its first frame, and at last how many rows there are; shape (m + 1,)."""
        return np.append(0, np.cumsum(self.sections[:, 2]))

    @cached_property
    def is_kept(self) -> NDArray[np.bool_]:
        """For each section, whether its file still counts; shape (m,)."""
        return ~np.isin(self.sections[:, 0], list(self.removed))

    @property
    def kept_frames(self) -> int:
        """How many frames still count."""
        return int(self.sections[self.is_kept, 2].sum())

    def kept_files(self) -> Iterator[tuple[int, FileEntry]]:
        """The files that still count, with their numbers."""
        return ((number, file) for number, file in enumerate(self.files) if number not in self.removed)

    def restore(self, low: int, high: int) -> Floats:
        """Frames of some rows, shape (high - low, width)."""
        return restore(self.frames[low:high], self.scales[low:high])

    def recording(self, number: int) -> Embedded:
        """One file as it was embedded."""
        (own,) = np.nonzero(self.sections[:, 0] == number)
        # The sections of a file stand one after the other.
        low, high = (int(self.offsets[own[0]]), int(self.offsets[own[-1] + 1])) if len(own) else (0, 0)
        frames, scales, norms = self.frames[low:high], self.scales[low:high], self.norms[low:high]
        # Copies: the files may be deleted before they are written elsewhere.
        return Embedded(self.files[number], self.sections[own, 1:], frames.copy(), scales.copy(), norms.copy())


@dataclass(frozen=True)
class Stored:
    """A recording whose frames lie in some segment.

    Attributes:
        folder: of the segment.
        number: of the recording in it.
        file: what is known about the file; its duration is that of the segment.
        width: numbers a frame.
    """

    folder: Path
    number: int
    file: FileEntry
    width: int

    def result(self) -> Embedded:
        """Read it."""
        found = open_segment(self.folder, width=self.width).recording(self.number)
        return replace(found, file=replace(self.file, duration_s=found.file.duration_s))


def write_segment(folder: Path, recordings: Sequence[Embedded]) -> None:
    """Write a segment; its folder is there with all its files, or it is not there.

    Args:
        folder: a new one.
        recordings: at least one, in any order.
    """
    sections = [
        np.column_stack([np.full(len(recording.sections), number), recording.sections])
        for number, recording in enumerate(recordings)
    ]
    with new_folder(folder) as partial:
        write_bytes(partial / "files.json", as_json([asdict(recording.file) for recording in recordings]))
        write_array(partial / "sections.npy", np.concatenate(sections))
        for name in _ARRAYS:
            write_array(partial / f"{name}.npy", np.concatenate([getattr(one, name) for one in recordings]))


def open_segment(folder: Path, *, removed: Set[int] = frozenset(), width: int) -> Segment:
    """Open a segment; its frames are read when they are used.

    Raises:
        EarmarkError: a file of it is missing or damaged.
    """
    try:
        told = json.loads((folder / "files.json").read_bytes())
        files = tuple(
            FileEntry(**{**entry, "stretches": tuple((start, end) for start, end in entry["stretches"])})
            for entry in told
        )
        sections, frames, scales, norms = (read_array(folder / f"{name}.npy") for name in ("sections", *_ARRAYS))
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise EarmarkError(f"{folder}: damaged ({_reason(error)}); delete the index and index anew") from None
    segment = Segment(folder, files, np.asarray(sections), frames, scales, norms, frozenset(removed))
    rows = segment.offsets[-1]
    if frames.shape != (rows, width) or scales.shape != (rows,) or len(norms) != rows or frames.dtype != np.int8:
        raise EarmarkError(f"{folder}: damaged (its parts do not fit together); delete the index and index anew")
    return segment


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
