"""Frame store: the frames of a corpus on disk, in one array file and one index file per speaker.

Computing frames takes far longer than reading them, and a training reads them hundreds of times. The files of a speaker
are complete or absent, so that interrupted work continues with the next speaker.
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
"""A section in the index of its speaker: path, start and end."""


class FrameStore:
    """Stored frames of a list of sections.

    Args:
        folder: the folder of `store_frames`.
        sections: the sections; methods take their numbers in this list.

    Attributes:
        width: length of a frame.
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
                    f"{folder}: has no frames of {section.path} from {section.start_s:g} to {section.end_s:g} s; "
                    "compute the frames of this list of sections"
                )
            found.append(rows)
        self._row = np.array([row for row, _, _ in found], np.int64)
        self.counts = np.array([count for _, count, _ in found], np.int64)
        self._first_s = np.array([first_s for _, _, first_s in found], np.float64)

    def __len__(self) -> int:
        return len(self.counts)

    def span(self, number: int, start_s: float, end_s: float) -> tuple[int, int]:
        """Numbers of the first frame of a section in [start, end], and of the last + 1; equal if there is none.

        Args:
            number: of the section.
            start_s: in seconds from the start of the recording.
            end_s: the same.
        """
        # A millionth of a hop more on both sides: times in lists are rounded to decimals, these are sums of hops.
        first, last = (np.array([start_s, end_s]) - self._first_s[number]) / self.hop_s + np.array([-1e-6, 1e-6])
        count = int(self.counts[number])
        begin = min(count, max(0, int(np.ceil(first))))
        return begin, max(begin, min(count, int(np.floor(last)) + 1))

    def frames(self, number: int, first: int, stop: int) -> Floats:
        """Frames of a section from the first to the last + 1, shape (stop - first, width)."""
        owner = int(self._owner[number])
        if owner not in self._opened:
            self._opened[owner] = self._open(owner)
        row = int(self._row[number])
        return np.array(self._opened[owner][row + first : row + max(first, stop)], np.float32)

    def _open(self, owner: int) -> NDArray[np.float16]:
        if not self._files[owner].exists():
            # Meanwhile more sections of this speaker were stored, in a new file.
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
    """Compute and store the frames of sections; stored speakers are kept.

    Sections of unknown speakers are stored by recording.

    Args:
        source: computes the frames.
        sections: in any order.
        corpus: folder that the paths start from.
        folder: of the store; it is created.
        settings: context and chunk length.
        progress: counts speakers.

    Raises:
        InputError: the folder has frames of another source; a recording is missing, damaged, or ends before a section
            starts.
        EarmarkError: the folder cannot be written, or the disk is full. Finished speakers stay.
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
    # The name of the source contains the path of its model, which may change.
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
    # Sections of another list are kept: the lists may be used in turn.
    known = _rows_by_section(before).keys() if before else set()
    keys = sorted({_key(section) for section in sections} | known)
    entries: list[list[Any]] = []
    # A new file for new sections: an open store continues to read the old one.
    file = index.with_name(f"{index.stem}_{_digest(repr(keys))}.npy")
    with atomic_file(file) as out:
        # NumPy leaves room in the header for the number of rows, which is known at the end.
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
    """Row of the first frame, number of frames, and time of the first frame, by section."""
    return {
        (path, start_s, end_s): (row, count, first_s) for path, start_s, end_s, row, count, first_s in index["sections"]
    }


def _owner(section: Span) -> str:
    """Speaker, or recording of an unknown speaker."""
    return section.speaker or section.path


def _key(section: Span) -> Key:
    return section.path, float(section.start_s), float(section.end_s)


def _index_file(folder: Path, name: str) -> Path:
    # A digest, because the name of a speaker need not be a file name.
    return folder / f"{_digest(name)}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
