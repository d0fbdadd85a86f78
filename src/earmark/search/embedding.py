"""Embed recordings as quantized frames. Reads audio and writes nothing, so that any worker can do it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.search.energy_gate import LevelMeter, Region, active_regions, intersect
from earmark.search.settings import IndexSettings
from earmark.search.windows import measure_norms, quantize, region_starts, window_lengths

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Ints = NDArray[np.int64]

_BLOCK_S = 8.0


@dataclass(frozen=True)
class Recording:
    """An audio file to index.

    Attributes:
        path: the audio file.
        spans: start and end, in seconds, of the parts to index; empty for the whole file.
    """

    path: Path
    spans: tuple[Region, ...] = ()


@dataclass(frozen=True)
class FileEntry:
    """An indexed file.

    Attributes:
        path: absolute path of the file.
        size: size of the file in bytes.
        mtime_ns: time of its last modification, in nanoseconds.
        digest: hash of the content, 32 hexadecimal digits.
        duration_s: length of the audio.
        spans: as in `Recording`.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str
    duration_s: float
    spans: tuple[Region, ...] = ()


@dataclass(frozen=True, eq=False)
class EmbeddedRecording:
    """The frames of a recording, as an index stores them.

    Attributes:
        file: the entry of its file.
        regions: first frame and number of frames of each active region, shape (m, 2).
        frames: int8 frames of all regions, concatenated, shape (n, width).
        scales: float16, the factor of each frame, shape (n,).
        norms: float16, norms of window sums, see `measure_norms`, shape (n, g).
    """

    file: FileEntry
    regions: Ints
    frames: NDArray[np.int8]
    scales: NDArray[np.float16]
    norms: NDArray[np.float16]


@dataclass(frozen=True)
class Failure:
    """A recording that cannot be indexed; the message names the file and the cure."""

    path: Path
    message: str


def embed_recording(recording: Recording, encoder: Encoder, settings: IndexSettings) -> EmbeddedRecording | Failure:
    """Embed an audio file of any length, in 12 MB of memory per hour; return a `Failure` if it cannot be indexed."""
    try:
        return _embed(recording, encoder, settings)
    except (EarmarkError, OSError) as error:
        return Failure(recording.path, str(error))


def absolute(path: Path) -> Path:
    """Make a path absolute and free of `..`, so that a file has only one name in an index."""
    return path.resolve() if ".." in path.parts else path.absolute()


def read_entry(recording: Recording) -> FileEntry:
    """Make the entry of a file as it is now; the duration is not measured and is 0.

    Raises:
        AudioError: the file is missing, a folder, or cannot be read.
    """
    path = recording.path
    try:
        status = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        raise audio.AudioError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise audio.AudioError(f"{path}: a folder, not an audio file; name the files in it") from None
    except OSError as error:
        raise audio.AudioError(f"{path}: cannot be read ({error.strerror}); change its permissions") from None
    return FileEntry(str(absolute(path)), status.st_size, status.st_mtime_ns, digest, 0.0, recording.spans)


def _embed(recording: Recording, encoder: Encoder, settings: IndexSettings) -> EmbeddedRecording:
    # Read before the audio: if the file changes in between, the next update must see a change.
    file = read_entry(recording)
    meter, stream = LevelMeter(), encoder.stream()
    quantized = []
    samples = 0
    for block in audio.blocks(recording.path, _BLOCK_S):
        samples += len(block)
        if settings.energy_gate:
            meter.push(block)
        quantized.append(quantize(stream.push(block)))
    quantized.append(quantize(stream.finish()))
    count = -(-samples // round(encoder.hop_s * audio.SAMPLE_RATE))
    frames = np.concatenate([numbers for numbers, _ in quantized])[:count]
    scales = np.concatenate([scale for _, scale in quantized])[:count]
    duration_s = samples / audio.SAMPLE_RATE
    _check_spans(recording, duration_s, encoder.hop_s)
    active = intersect(active_regions(meter.finish(), duration_s, settings), recording.spans)
    regions = _in_frames(active, encoder.hop_s, count)
    rows = np.concatenate([np.arange(start, start + size) for start, size in regions] or [np.zeros(0, np.int64)])
    frames, scales = frames[rows], scales[rows]
    starts = region_starts(regions[:, 1])
    norms = measure_norms(frames, scales, starts, window_lengths(encoder.hop_s), encoder.parts)
    return EmbeddedRecording(replace(file, duration_s=round(duration_s, 3)), regions, frames, scales, norms)


def _check_spans(recording: Recording, duration_s: float, hop_s: float) -> None:
    for start_s, end_s in recording.spans:
        if start_s >= duration_s:
            raise InputError(
                f"{recording.path}: a clip begins at {start_s:g} s, but the recording ends at {duration_s:.2f} s;"
                " use the manifest of this recording"
            )
        if end_s - start_s < hop_s - 1e-9:
            raise InputError(
                f"{recording.path}: the clip at {start_s:g} s lasts {1000 * (end_s - start_s):.0f} ms, less than a"
                f" frame of {1000 * hop_s:.0f} ms; remove it from the manifest"
            )


def _in_frames(regions: Iterable[Region], hop_s: float, count: int) -> Ints:
    """Convert regions to first frame and number of frames, shape (m, 2); regions without a frame are dropped."""
    rows = []
    last = 0
    for start_s, end_s in regions:
        start, stop = max(last, int(start_s / hop_s + 1e-6)), min(count, int(np.ceil(end_s / hop_s - 1e-6)))
        if stop > start:
            rows.append((start, stop - start))
            last = stop
    return np.array(rows, np.int64).reshape(-1, 2)
