"""Frame store: the frames of a corpus on disk, in one array file and one index file per speaker.

Frames are stored because a training reads them hundreds of times, and computing them takes far longer than reading. The
files of a speaker are complete or absent, so that interrupted work resumes with the next speaker.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.arrays import read_array, write_array_header
from earmark.core.errors import InputError
from earmark.core.files import atomic_file, read_json, write_json
from earmark.core.progress import Progress, follow, no_progress
from earmark.core.workspace import STAMP, Workspace
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.spans import Span
from earmark.training.sequences.frames.sections import ContextSettings, section_frames
from earmark.training.sequences.frames.source import Floats, FrameSource, hop_s

_FORMAT = 1
_LARGEST = float(np.finfo(np.float16).max)
_MISSING = "compute the frames of this list of sections"

Key = tuple[str, float, float]
"""Key of a section in the index of its speaker: path, start and end in seconds."""


class FrameStore:
    """Reads the stored frames of a list of sections.

    Args:
        folder: folder that `store_frames` wrote.
        sections: the sections; methods name a section by its number in this list.

    Attributes:
        width: number of features in a frame.
        hop_s: seconds between frames.
        counts: number of frames of each section, shape (n,); 0 for sections that are too short.

    Raises:
        InputError: the folder has no frames of a section.
    """

    def __init__(self, folder: Path, sections: Sequence[Span]) -> None:
        stamp = read_json(folder / STAMP, _MISSING)
        self.width: int = stamp["width"]
        self.hop_s: float = stamp["hop_s"]
        owners = [_owner(section) for section in sections]
        names = list(dict.fromkeys(owners))
        self._folder, self._sections = folder, sections
        indexes = [read_json(_index_file(folder, name), _MISSING) for name in names]
        rows_of = [_rows_by_section(index) for index in indexes]
        self._files = [folder / index["file"] for index in indexes]
        self._opened: dict[int, NDArray[np.float16]] = {}
        numbers = {name: number for number, name in enumerate(names)}
        self._owner = np.array([numbers[name] for name in owners], np.int32)
        found = []
        for number, section in zip(self._owner, sections, strict=True):
            rows = rows_of[number].get(_key(section))
            if rows is None:
                raise InputError(
                    f"{folder}: the frames of {section.path} from {section.start_s:g} to {section.end_s:g} s are not "
                    "stored; compute the frames of this list of sections"
                )
            found.append(rows)
        self._row = np.array([row for row, _, _ in found], np.int64)
        self.counts = np.array([count for _, count, _ in found], np.int64)
        self._first_s = np.array([first_s for _, _, first_s in found], np.float64)

    def __len__(self) -> int:
        return len(self.counts)

    def span(self, number: int, start_s: float, end_s: float) -> tuple[int, int]:
        """Find the frames of a section between two times, as a half-open range of frame numbers.

        Args:
            number: number of the section.
            start_s: first time, in seconds from the start of the recording.
            end_s: last time, in seconds from the start of the recording.

        Returns:
            Number of the first frame, and of the frame after the last; both are equal if there is no frame.
        """
        # A tolerance of a millionth of a hop: times in lists are rounded to decimals, times of frames are sums of hops.
        first, last = (np.array([start_s, end_s]) - self._first_s[number]) / self.hop_s + np.array([-1e-6, 1e-6])
        count = int(self.counts[number])
        begin = min(count, max(0, int(np.ceil(first))))
        return begin, max(begin, min(count, int(np.floor(last)) + 1))

    def frames(self, number: int, first: int, stop: int) -> Floats:
        """Read the frames `first` to `stop` - 1 of a section, shape (stop - first, width)."""
        owner = int(self._owner[number])
        if owner not in self._opened:
            self._opened[owner] = self._open(owner)
        row = int(self._row[number])
        return np.array(self._opened[owner][row + first : row + max(first, stop)], np.float32)

    def _open(self, owner: int) -> NDArray[np.float16]:
        if not self._files[owner].exists():
            # Another process has stored more sections of this speaker in a new file since the store was opened.
            own = np.flatnonzero(self._owner == owner).tolist()
            index = read_json(_index_file(self._folder, _owner(self._sections[own[0]])), _MISSING)
            rows = _rows_by_section(index)
            self._files[owner] = self._folder / index["file"]
            self._row[own] = [rows[_key(self._sections[number])][0] for number in own]
        return read_array(self._files[owner], f"delete {self._folder} and compute the frames again")


def store_frames(
    source: FrameSource,
    sections: Sequence[Span],
    corpus: Path,
    folder: Path,
    settings: ContextSettings | None = None,
    *,
    progress: Progress = no_progress,
) -> FrameStore:
    """Compute the frames of sections that are not stored yet, and store them.

    The sections of an unknown speaker are stored by recording.

    Args:
        source: computes the frames.
        sections: the sections, in any order.
        corpus: folder that the paths of the sections start from.
        folder: folder of the store; it is created.
        settings: context and chunk length.
        progress: counts speakers.

    Raises:
        InputError: the folder has frames of another source; a recording is missing, damaged, or ends before a section
            starts.
        EarmarkError: the folder cannot be written, or the disk is full; the files of finished speakers are kept.
    """
    settings = settings or ContextSettings()
    stamp = {
        "format": _FORMAT,
        "source": source.name,
        "fingerprint": source.fingerprint,
        "width": source.width,
        "hop_s": hop_s(source),
        "hearing": settings.model_dump(),  # the key that earlier versions wrote
    }
    # The source's name is not compared: it contains the path of the model, which may change.
    Workspace(folder, stamp, notes=frozenset({"source"})).open()
    ordered = sorted(sections, key=_owner)
    owners = [(name, list(group)) for name, group in groupby(ordered, key=_owner)]
    missing = [(name, group) for name, group in owners if not _is_stored(folder, name, group)]
    recordings = AudioFolder(corpus)
    for name, group in follow(missing, "computing frames of speakers", progress):
        _store_speaker(source, group, recordings, folder, name, settings)
    return FrameStore(folder, sections)


def _store_speaker(
    source: FrameSource,
    sections: Iterable[Span],
    recordings: AudioFolder,
    folder: Path,
    name: str,
    settings: ContextSettings,
) -> None:
    index = _index_file(folder, name)
    before = read_json(index) if index.exists() else None
    # Stored sections of another list are kept, because the user may use both lists in turn.
    known = _rows_by_section(before).keys() if before else set()
    keys = sorted({_key(section) for section in sections} | known)
    entries: list[list[Any]] = []
    # New sections need a new file, because an open store continues to read the old file.
    file = index.with_name(f"{index.stem}_{_digest(repr(keys))}.npy")
    with atomic_file(file) as out:
        # The header is written again at the end, when the number of rows is known; NumPy leaves space for it.
        write_array_header(out, np.dtype(np.float16), (0, source.width))
        start, rows = out.tell(), 0
        for path, group in groupby(keys, key=lambda key: key[0]):
            wave = audio.read(recordings.locate(path))
            for _, start_s, end_s in group:
                try:
                    frames, first_s = section_frames(source, wave, start_s, end_s, settings)
                except InputError as error:
                    raise InputError(f"{path}: {error}") from None
                out.write(frames.clip(-_LARGEST, _LARGEST).astype(np.float16).tobytes())
                entries.append([path, start_s, end_s, rows, len(frames), first_s])
                rows += len(frames)
        out.seek(0)
        write_array_header(out, np.dtype(np.float16), (rows, source.width))
        assert out.tell() == start
    write_json(index, {"speaker": name, "file": file.name, "sections": entries})
    if before and before["file"] != file.name:
        (folder / before["file"]).unlink(missing_ok=True)


def _is_stored(folder: Path, name: str, sections: Iterable[Span]) -> bool:
    index = _index_file(folder, name)
    return index.exists() and {_key(section) for section in sections} <= _rows_by_section(read_json(index)).keys()


def _rows_by_section(index: Mapping[str, Any]) -> dict[Key, tuple[int, int, float]]:
    """Convert the index of a speaker's sections to a mapping.

    Returns:
        For each section, the row of its first frame in the array file, its number of frames, and the time of its first
        frame in seconds.
    """
    return {
        (path, start_s, end_s): (row, count, first_s) for path, start_s, end_s, row, count, first_s in index["sections"]
    }


def _owner(section: Span) -> str:
    """Return the speaker of a section, or the path of its recording if the speaker is unknown."""
    return section.speaker or section.path


def _key(section: Span) -> Key:
    return section.path, float(section.start_s), float(section.end_s)


def _index_file(folder: Path, name: str) -> Path:
    # The file is named by a digest, because a speaker's name may contain characters that file names cannot.
    return folder / f"{_digest(name)}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
