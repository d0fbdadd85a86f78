"""Frames of all sections of a corpus on disk: a file of numbers and its index for each speaker.

Encoding a corpus takes far longer than reading its frames, which one training reads hundreds of times. A speaker's
files appear when they are complete, the index last, so that a run which was cut off goes on with the next speaker.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.core.progress import Progress, follow, no_progress
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.spans import Span
from earmark.training.sequences.frames.sections import ContextSettings, section_frames
from earmark.training.sequences.frames.source import Floats, FrameSource, hop_s

_FORMAT = 1
_LARGEST = float(np.finfo(np.float16).max)

Key = tuple[str, float, float]
"""A section in its speaker's index: path, start and end."""


class FrameStore:
    """Frames of a list of sections; made by `store_frames` and `open_frames`.

    Attributes:
        width: numbers in a frame.
        hop_s: seconds from frame to frame.
        counts: frames of each section, shape (n,); 0 of those that are too short.
    """

    def __init__(self, folder: Path, sections: Sequence[Span]) -> None:
        stamp = _read(folder / "stamp.json")
        self.width: int = stamp["width"]
        self.hop_s: float = stamp["hop_s"]
        owners = [_owner(section) for section in sections]
        names = list(dict.fromkeys(owners))
        self._folder, self._sections = folder, sections
        read = [_read(_index_file(folder, name)) for name in names]
        indices = [_places(index) for index in read]
        self._files = [folder / index["file"] for index in read]
        self._opened: dict[int, NDArray[np.float16]] = {}
        numbers = {name: number for number, name in enumerate(names)}
        self._owner = np.array([numbers[name] for name in owners], np.int32)
        places = []
        for number, section in zip(self._owner, sections, strict=True):
            place = indices[number].get(_key(section))
            if place is None:
                raise InputError(
                    f"{folder}: has no frames of {section.path} from {section.start_s:g} to {section.end_s:g} s; "
                    "encode this list of sections"
                )
            places.append(place)
        self._row = np.array([row for row, _, _ in places], np.int64)
        self.counts = np.array([count for _, count, _ in places], np.int64)
        self._first_s = np.array([first_s for _, _, first_s in places], np.float64)

    def __len__(self) -> int:
        return len(self.counts)

    def section(self, number: int) -> Floats:
        """All frames of a section, shape (t, width)."""
        return self.cut(number, 0, int(self.counts[number]))

    def times_s(self, number: int) -> NDArray[np.float64]:
        """The instants of a section's frames, in seconds from the start of the file, shape (t,)."""
        return self._first_s[number] + np.arange(self.counts[number]) * self.hop_s

    def segment(self, number: int, start_s: float, end_s: float) -> Floats:
        """Frames of a section whose instants lie within [start, end].

        Args:
            number: of the section.
            start_s: in seconds from the start of the file.
            end_s: the same.

        Returns:
            Shape (t, width); t is 0 where no instant lies there.
        """
        return self.cut(number, *self.span(number, start_s, end_s))

    def span(self, number: int, start_s: float, end_s: float) -> tuple[int, int]:
        """First and last + 1 of a section's frames whose instants lie within [start, end]; equal where none does."""
        # A millionth of a hop more on both sides: times in lists are rounded to decimals, these are sums of hops.
        first, last = (np.array([start_s, end_s]) - self._first_s[number]) / self.hop_s + np.array([-1e-6, 1e-6])
        count = int(self.counts[number])
        begin = min(count, max(0, int(np.ceil(first))))
        return begin, max(begin, min(count, int(np.floor(last)) + 1))

    def cut(self, number: int, first: int, stop: int) -> Floats:
        """Frames of a section from the first to before the stop, shape (stop - first, width)."""
        owner = int(self._owner[number])
        if owner not in self._opened:
            self._opened[owner] = self._open(owner)
        row = int(self._row[number])
        return np.array(self._opened[owner][row + first : row + max(first, stop)], np.float32)

    def _open(self, owner: int) -> NDArray[np.float16]:
        if not self._files[owner].exists():
            # Meanwhile others were encoded beside these, such as those that a run is validated on.
            own = np.flatnonzero(self._owner == owner).tolist()
            index = _read(_index_file(self._folder, _owner(self._sections[own[0]])))
            places = _places(index)
            self._files[owner] = self._folder / index["file"]
            self._row[own] = [places[_key(self._sections[number])][0] for number in own]
        return _rows(self._files[owner])


def open_frames(folder: Path, sections: Sequence[Span]) -> FrameStore:
    """The frames of sections that were stored before.

    Raises:
        InputError: the folder holds no frames, or not those of all these sections.
    """
    return FrameStore(folder, sections)


def store_frames(
    source: FrameSource,
    sections: Sequence[Span],
    corpus: Path,
    folder: Path,
    settings: ContextSettings | None = None,
    *,
    progress: Progress = no_progress,
) -> FrameStore:
    """Make the frames of sections and keep them; speakers that are there already are not encoded again.

    Sections of nobody known are kept by recording.

    Args:
        source: what makes the frames.
        sections: to encode, in any order; the store numbers them as they stand here.
        corpus: folder that the paths start from.
        folder: where the frames are kept, made where there is none.
        settings: how much is heard at a time.
        progress: of the speakers.

    Raises:
        InputError: the folder holds frames that something else made; a recording is missing, damaged, or ends before
            a section starts.
        EarmarkError: the folder cannot be written, or the disk is full. What was finished stays.
    """
    settings = settings or ContextSettings()
    stamp = {
        "format": _FORMAT,
        "source": source.name,
        "fingerprint": source.fingerprint,
        "width": source.width,
        "hop_s": hop_s(source),
        "hearing": settings.model_dump(),
    }
    try:
        _claim(folder, stamp)
        ordered = sorted(sections, key=_owner)
        owners = [(name, list(group)) for name, group in groupby(ordered, key=_owner)]
        missing = [(name, group) for name, group in owners if not _is_stored(folder, name, group)]
        recordings = AudioFolder(corpus)
        for name, group in follow(missing, "encoding speakers", progress):
            _store_speaker(source, group, recordings, folder, name, settings)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EarmarkError(
            f"{folder}: cannot be written ({reason}); make room and run it again, finished speakers are kept"
        ) from None
    return FrameStore(folder, sections)


def _claim(folder: Path, stamp: Mapping[str, Any]) -> None:
    place = folder / "stamp.json"
    if place.exists():
        found = _read(place)
        # The name says where a model lies, which may change.
        if {**found, "source": None} != {**stamp, "source": None}:
            raise InputError(
                f"{folder}: holds frames of {found['source']}, or of other settings; name another folder or delete it"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write(place, stamp)


def _store_speaker(
    source: FrameSource,
    sections: Iterable[Span],
    recordings: AudioFolder,
    folder: Path,
    name: str,
    settings: ContextSettings,
) -> None:
    index = _index_file(folder, name)
    before = _read(index) if index.exists() else None
    # Those of another list, too: both may be used in turn.
    known = _places(before).keys() if before else set()
    keys = sorted({_key(section) for section in sections} | known)
    places: list[list[Any]] = []
    # Other sections, another file: whoever has the store open reads on in what it found.
    file = index.with_name(f"{index.stem}_{_digest(repr(keys))}.npy")
    partial = file.with_name(f".{file.name}.partial")
    try:
        with partial.open("wb") as out:
            # NumPy leaves room in the header for the number of rows, which is known at the end.
            _head(out, 0, source.width)
            start, rows = out.tell(), 0
            for path, group in groupby(keys, key=lambda key: key[0]):
                wave = audio.read(recordings.locate(path))
                for _, start_s, end_s in group:
                    try:
                        frames, first_s = section_frames(source, wave, start_s, end_s, settings)
                    except InputError as error:
                        raise InputError(f"{path}: {error}") from None
                    out.write(frames.clip(-_LARGEST, _LARGEST).astype(np.float16).tobytes())
                    places.append([path, start_s, end_s, rows, len(frames), first_s])
                    rows += len(frames)
            out.seek(0)
            _head(out, rows, source.width)
            assert out.tell() == start
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    _write(index, {"speaker": name, "file": file.name, "sections": places})
    if before and before["file"] != file.name:
        (folder / before["file"]).unlink(missing_ok=True)


def _head(out: BinaryIO, rows: int, width: int) -> None:
    np.lib.format.write_array_header_1_0(
        out,
        {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False, "shape": (rows, width)},
    )


def _is_stored(folder: Path, name: str, sections: Iterable[Span]) -> bool:
    index = _index_file(folder, name)
    return index.exists() and {_key(section) for section in sections} <= _places(_read(index)).keys()


def _places(index: Mapping[str, Any]) -> dict[Key, tuple[int, int, float]]:
    """Row of the first frame, frames, and time of the first, by section."""
    return {
        (path, start_s, end_s): (row, count, first_s) for path, start_s, end_s, row, count, first_s in index["sections"]
    }


def _rows(file: Path) -> NDArray[np.float16]:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{file}: gone, as more sections were encoded meanwhile; start again") from None
    except (OSError, ValueError):
        raise InputError(f"{file}: damaged; delete {file.parent} and encode again") from None


def _owner(section: Span) -> str:
    return section.speaker or section.path


def _key(section: Span) -> Key:
    return section.path, float(section.start_s), float(section.end_s)


def _index_file(folder: Path, name: str) -> Path:
    # A speaker may be called anything; a file may not.
    return folder / f"{_digest(name)}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path.parent}: holds no frames of these speakers; encode this list of sections") from None
    except ValueError:
        raise InputError(f"{path}: damaged; delete it and encode again") from None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
