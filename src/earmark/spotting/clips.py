"""Clips of detections: what triggered a keyword, kept in a folder whose size is bounded."""

import hashlib
import re
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import Field

from earmark.core.audio import SAMPLE_RATE, Wave, write
from earmark.core.config import Settings
from earmark.core.errors import writing
from earmark.core.files import atomic_path
from earmark.core.names import fold
from earmark.spotting.detector import Detection

RECENT_S = 20.0
"""Audio of a stream that a recorder keeps; a detection follows the start of its word by less than half of this."""

_CLIP = re.compile(r".*-(?P<key>[0-9a-f]{8})-\d{8}T\d{12}Z-\d{3}\.wav")


class ClipSettings(Settings):
    """Clips of detections, and how many of them are kept."""

    context_s: float = Field(
        default=1.5, ge=1, le=5, description="Audio before a detection; up to half of it after the detection."
    )
    most: int = Field(default=200, ge=1, le=100_000, description="Number of clips; the oldest are deleted.")
    days: float = Field(default=30, gt=0, le=3650, description="Age of the oldest clip.")
    megabytes: float = Field(default=100, gt=0, le=1_000_000, description="Size of all clips together.")


@dataclass(frozen=True)
class Clip:
    """A clip in a file.

    Attributes:
        path: of the file, 16-bit WAV.
        start_s: start of the detection in the clip, in seconds.
        end_s: its end in seconds.
    """

    path: Path
    start_s: float
    end_s: float


class ClipRecorder:
    """Keeps the latest audio of a stream, and writes clips of its detections.

    Args:
        folder: of the clips; created by the first one. Other files in it stay.
        settings: length and number of clips.
    """

    def __init__(self, folder: Path, settings: ClipSettings | None = None) -> None:
        self.folder, self.settings = folder, settings or ClipSettings()
        self.begin()

    def begin(self) -> None:
        """Begin a new stream, at 0 s."""
        self._blocks: deque[Wave] = deque()
        self._first = self._last = 0  # samples of the stream

    def push(self, wave: Wave) -> None:
        """Keep the next audio of the stream, shape (n,)."""
        self._blocks.append(wave)
        self._last += len(wave)
        while self._last - self._first - len(self._blocks[0]) >= RECENT_S * SAMPLE_RATE:
            self._first += len(self._blocks.popleft())

    def keep(self, detection: Detection) -> Clip:
        """Write the clip of a detection of this stream, and delete the clips that the settings do not keep.

        Raises:
            EarmarkError: the folder cannot be written.
        """
        start = max(self._first, round((detection.start_s - self.settings.context_s) * SAMPLE_RATE))
        stop = min(self._last, round((detection.end_s + self.settings.context_s / 2) * SAMPLE_RATE))
        wave = np.concatenate([*self._blocks, np.zeros(0, np.float32)])[start - self._first : stop - self._first]
        path = self.folder / _name(detection)
        # 0600: these are recordings of people's voices.
        with atomic_path(path, mode=0o600) as draft:
            write(draft, wave)
        prune_clips(self.folder, self.settings)
        return Clip(path, detection.start_s - start / SAMPLE_RATE, detection.end_s - start / SAMPLE_RATE)


def prune_clips(folder: Path, settings: ClipSettings) -> None:
    """Delete the oldest clips of a folder until number, age and size are those of the settings.

    The newest clip stays. Only files with the names of clips are deleted.
    """
    with writing(folder):
        clips = sorted(_clips(folder), key=lambda clip: (-clip[1], clip[0].name))
        size, oldest = 0.0, time.time() - settings.days * 86_400
        for number, (path, changed, length) in enumerate(clips):
            size += length
            if number and (number >= settings.most or changed < oldest or size > settings.megabytes * 1e6):
                path.unlink(missing_ok=True)


def remove_clips(folder: Path, keyword: str) -> int:
    """Delete all clips of a keyword in a folder; returns their number."""
    key, count = _key(keyword), 0
    with writing(folder):
        for path, _, _ in _clips(folder):
            found = _CLIP.fullmatch(path.name)
            if found is not None and found["key"] == key:
                path.unlink(missing_ok=True)
                count += 1
    return count


def _clips(folder: Path) -> list[tuple[Path, float, int]]:
    """Path, time and size of each clip in a folder; other files, links and folders are none."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        if _CLIP.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            about = path.stat()
            found.append((path, about.st_mtime, about.st_size))
    return found


def _name(detection: Detection) -> str:
    """File name of a clip: keyword, key of the keyword, time, score."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    score = min(999, max(0, round(1000 * detection.score)))
    return f"{file_stem(detection.keyword)}-{_key(detection.keyword)}-{stamp}-{score:03}.wav"


def file_stem(keyword: str) -> str:
    """The name of a keyword as the beginning of a file name.

    >>> file_stem("Hey, /Jarvis!")
    'Hey_Jarvis'
    """
    return re.sub(r"\W+", "_", keyword).strip("_")[:32] or "keyword"


def _key(keyword: str) -> str:
    """Eight hexadecimal digits that identify a keyword by its name."""
    return hashlib.sha256(fold(keyword).encode()).hexdigest()[:8]
