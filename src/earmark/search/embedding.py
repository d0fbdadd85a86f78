"""From recordings to frames that can be stored. Pure: reads sound, writes nothing, so that any worker can run it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.search.sections import LevelMeter, find_sections, within
from earmark.search.settings import IndexSettings
from earmark.search.windows import grid, measure_norms, quantize

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Ints = NDArray[np.int64]

_BLOCK_S = 8.0


@dataclass(frozen=True)
class Recording:
    """A file to index.

    Attributes:
        path: the sound file.
        stretches: start and end in seconds of the parts that count; none for all of it.
    """

    path: Path
    stretches: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class FileEntry:
    """What an index knows about a file.

    Attributes:
        path: absolute.
        size: bytes.
        mtime_ns: when it was changed, as the file system says.
        digest: of its content, 32 hexadecimal digits.
        duration_s: of its sound.
        stretches: the parts that count; none for all of it.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str
    duration_s: float
    stretches: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Embedded:
    """A recording as an index keeps it.

    Attributes:
        file: what is known about the file.
        sections: shape (m, 2): the frame of the file in which a section begins, and how many frames it has.
        frames: int8, shape (n, width): those of all sections, one after the other.
        scales: float16, shape (n,): what a frame's numbers are multiplied with.
        norms: float16, shape (n, g): lengths of summed vectors, see `measure_norms`.
    """

    file: FileEntry
    sections: Ints
    frames: NDArray[np.int8]
    scales: NDArray[np.float16]
    norms: NDArray[np.float16]


@dataclass(frozen=True)
class Failure:
    """A recording that cannot be indexed; the message names the file and the cure."""

    path: Path
    message: str


def embed_batch(recordings: Sequence[Recording], encoder: Encoder, settings: IndexSettings) -> list[Embedded | Failure]:
    """Embed recordings, in their order; one that cannot be read does not stop the others.

    Args:
        recordings: the files.
        encoder: gives the frames.
        settings: which parts are kept.
    """
    found: list[Embedded | Failure] = []
    for recording in recordings:
        try:
            found.append(embed_recording(recording, encoder, settings))
        except (EarmarkError, OSError) as error:
            found.append(Failure(recording.path, str(error)))
    return found


def embed_recording(recording: Recording, encoder: Encoder, settings: IndexSettings) -> Embedded:
    """Embed a file of any length in memory for its frames alone, about 12 MB an hour.

    Raises:
        AudioError: the file is missing or not sound.
        InputError: a stretch begins after the recording's end, or is shorter than a frame.
    """
    # Before the sound is read: a file that changes meanwhile then is not taken for unchanged the next time.
    file = entry_of(recording)
    meter, stream = LevelMeter(), encoder.stream()
    packed = []
    samples = 0
    for block in audio.blocks(recording.path, _BLOCK_S):
        samples += len(block)
        if settings.gate != "none":
            meter.push(block)
        packed.append(quantize(stream.push(block)))
    packed.append(quantize(stream.finish()))
    count = -(-samples // round(encoder.hop_s * audio.SAMPLE_RATE))
    frames = np.concatenate([numbers for numbers, _ in packed])[:count]
    scales = np.concatenate([scale for _, scale in packed])[:count]
    duration_s = samples / audio.SAMPLE_RATE
    _check_stretches(recording, duration_s, encoder.hop_s)
    spans = within(find_sections(meter.finish(), duration_s, settings), recording.stretches)
    sections = _frames_of(spans, encoder.hop_s, count)
    rows = np.concatenate([np.arange(start, start + size) for start, size in sections] or [np.zeros(0, np.int64)])
    frames, scales = frames[rows], scales[rows]
    begins = np.repeat(np.cumsum(sections[:, 1]) - sections[:, 1], sections[:, 1])
    norms = measure_norms(frames, scales, begins, grid(encoder.hop_s), encoder.parts)
    return Embedded(replace(file, duration_s=round(duration_s, 3)), sections, frames, scales, norms)


def entry_of(recording: Recording) -> FileEntry:
    """What the file system says about a file, and the digest of its content; the duration is 0.

    Raises:
        AudioError: no such file, or a folder.
    """
    path = recording.path
    try:
        about = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        raise audio.AudioError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise audio.AudioError(f"{path}: a folder, not a sound file; name the files in it") from None
    except OSError as error:
        raise audio.AudioError(f"{path}: cannot be read ({error.strerror})") from None
    return FileEntry(str(path.absolute()), about.st_size, about.st_mtime_ns, digest, 0.0, recording.stretches)


def _check_stretches(recording: Recording, duration_s: float, hop_s: float) -> None:
    for start_s, end_s in recording.stretches:
        if start_s >= duration_s:
            raise InputError(
                f"{recording.path}: a clip begins at {start_s:g} s, but the recording ends at {duration_s:.2f} s;"
                " make the manifest of these recordings"
            )
        if end_s - start_s < hop_s - 1e-9:
            raise InputError(
                f"{recording.path}: a clip of {1000 * (end_s - start_s):.0f} ms at {start_s:g} s, shorter than a"
                f" frame of {1000 * hop_s:.0f} ms; take it off the manifest"
            )


def _frames_of(spans: Iterable[tuple[float, float]], hop_s: float, count: int) -> Ints:
    """Sections in frames, shape (m, 2): where one begins, and how many it has; those of no frame are left out."""
    rows = []
    last = 0
    for start_s, end_s in spans:
        start, stop = max(last, int(start_s / hop_s + 1e-6)), min(count, int(np.ceil(end_s / hop_s - 1e-6)))
        if stop > start:
            rows.append((start, stop - start))
            last = stop
    return np.array(rows, np.int64).reshape(-1, 2)
