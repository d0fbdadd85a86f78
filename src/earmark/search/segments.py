"""An index segment: the frames of some recordings in one folder, written once and never changed.

| file | content |
|---|---|
| `files.json` | an entry per file |
| `sections.npy` | active regions, int64 (m, 3): file, first frame in that file, number of frames |
| `frames.npy` | frames of all regions, concatenated, int8 (n, width) |
| `scales.npy` | factor of each frame, float16 (n,) |
| `norms.npy` | norms of the sums of windows (`earmark.search.windows`), float16 (n, g) |
| `windows.faiss` | the neighbor index of its windows, if there is one (`earmark.search.faiss_index`) |
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import read_array, write_array
from earmark.core.files import atomic_folder, read_json, write_json
from earmark.search.contents import CURE, damaged
from earmark.search.embedding import EmbeddedRecording, FileEntry
from earmark.search.windows import Floats, dequantize

Ints = NDArray[np.int64]

FILES = "files.json"
NEIGHBORS = "windows.faiss"
_ARRAYS = ("frames", "scales", "norms")


@dataclass(frozen=True, eq=False)
class IndexSegment:
    """A segment of an index, opened for reading.

    Attributes:
        folder: folder of the segment.
        files: an entry per file.
        regions: file, first frame in it and number of frames of each active region, shape (m, 3).
        frames: memory-mapped, shape (n, width).
        scales: memory-mapped, shape (n,).
        norms: memory-mapped, shape (n, g).
        removed: numbers of the files that were dropped from the index.
    """

    folder: Path
    files: tuple[FileEntry, ...]
    regions: Ints
    frames: NDArray[np.int8]
    scales: NDArray[np.float16]
    norms: NDArray[np.float16]
    removed: frozenset[int] = frozenset()

    @cached_property
    def offsets(self) -> Ints:
        """Row of the first frame of each region, followed by the number of rows, shape (m + 1,)."""
        return np.append(0, np.cumsum(self.regions[:, 2]))

    @cached_property
    def is_kept(self) -> NDArray[np.bool_]:
        """Whether the file of each region is still in the index, shape (m,)."""
        return ~np.isin(self.regions[:, 0], list(self.removed))

    @property
    def kept_frames(self) -> int:
        """Number of frames of files that are still in the index."""
        return int(self.regions[self.is_kept, 2].sum())

    def kept_files(self) -> Iterator[tuple[int, FileEntry]]:
        """Yield number and entry of each file of the segment that is still in the index."""
        return ((number, file) for number, file in enumerate(self.files) if number not in self.removed)

    def region_of(self, rows: Ints) -> Ints:
        """Return the number of the region that contains each row; same shape as `rows`."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def dequantize(self, low: int, high: int) -> Floats:
        """Convert the frames of the rows from `low` to `high` to floats, shape (high - low, width)."""
        return dequantize(self.frames[low:high], self.scales[low:high])

    def recording(self, number: int) -> EmbeddedRecording:
        """Read the frames of the file with this number, as they were embedded."""
        (own,) = np.nonzero(self.regions[:, 0] == number)
        # The regions of a file are adjacent.
        low, high = (int(self.offsets[own[0]]), int(self.offsets[own[-1] + 1])) if len(own) else (0, 0)
        frames, scales, norms = self.frames[low:high], self.scales[low:high], self.norms[low:high]
        # Copies: the segment may be deleted before they are written into another one.
        return EmbeddedRecording(self.files[number], self.regions[own, 1:], frames.copy(), scales.copy(), norms.copy())


@dataclass(frozen=True)
class StoredRecording:
    """A recording whose frames are in a segment.

    Attributes:
        folder: folder of the segment.
        number: number of the stored file in the segment.
        file: entry of the file to index, which may have another name; its duration is read from the segment.
        width: dimensions of a frame.
    """

    folder: Path
    number: int
    file: FileEntry
    width: int

    def read(self) -> EmbeddedRecording:
        """Read the frames of the recording from its segment."""
        found = open_segment(self.folder, width=self.width).recording(self.number)
        return replace(found, file=replace(self.file, duration_s=found.file.duration_s))


def write_segment(folder: Path, recordings: Sequence[EmbeddedRecording]) -> None:
    """Write a segment atomically; a folder that exists is kept.

    Args:
        folder: folder of the segment.
        recordings: at least one, in any order.
    """
    regions = [
        np.column_stack([np.full(len(recording.regions), number), recording.regions])
        for number, recording in enumerate(recordings)
    ]
    with atomic_folder(folder) as draft:
        write_json(draft / FILES, [asdict(recording.file) for recording in recordings])
        write_array(draft / "sections.npy", np.concatenate(regions))
        for name in _ARRAYS:
            write_array(draft / f"{name}.npy", np.concatenate([getattr(one, name) for one in recordings]))


def open_segment(folder: Path, *, removed: Set[int] = frozenset(), width: int) -> IndexSegment:
    """Open a segment; its frames are read when they are used.

    Args:
        folder: folder of the segment.
        removed: numbers of the files that were dropped from the index.
        width: dimensions of a frame.

    Raises:
        InputError: a file of the segment is missing or damaged.
    """
    files = read_files(folder)
    regions, frames, scales, norms = (read_array(folder / f"{name}.npy", CURE) for name in ("sections", *_ARRAYS))
    segment = IndexSegment(folder, files, np.asarray(regions), frames, scales, norms, frozenset(removed))
    if regions.ndim != 2 or regions.shape[1] != 3:
        raise damaged(folder, "sections.npy has the wrong shape")
    rows = segment.offsets[-1]
    if frames.shape != (rows, width) or scales.shape != (rows,) or len(norms) != rows or frames.dtype != np.int8:
        raise damaged(folder, "its arrays differ in length or width")
    return segment


def read_files(folder: Path) -> tuple[FileEntry, ...]:
    """Read the file entries of the segment in a folder.

    Raises:
        InputError: the entries are missing or damaged.
    """
    document = read_json(folder / FILES, CURE)
    try:
        return tuple(map(_file_entry, document))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(folder / FILES, " ".join(str(error).split())) from None


def _file_entry(document: dict[str, Any]) -> FileEntry:
    spans = document["spans" if "spans" in document else "stretches"]  # `stretches` in format 1
    fields = {key: value for key, value in document.items() if key not in {"spans", "stretches"}}
    return FileEntry(**fields, spans=tuple((start, end) for start, end in spans))
