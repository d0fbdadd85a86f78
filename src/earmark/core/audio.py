"""Waves: read, stream, resample, check and write audio.

Inside earmark a wave is mono, 16 kHz, float32 in [-1, 1].
"""

import io
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import ArrayLike, NDArray

from earmark.core.errors import InputError, warn_user

SAMPLE_RATE = 16_000
"""Sample rate of every wave, in Hz."""

Wave = NDArray[np.float32]
"""Mono audio, shape (n,), 16 kHz, in [-1, 1]."""

AudioInput = ArrayLike | Path
"""A wave, see `as_wave`, or the path of an audio file as str or Path."""

_INT16_SCALE = 32_768
# A float wave above this contains unscaled integers; overdriven audio is far below.
_PEAK_LIMIT = 100.0
# The header of a file that was written through a pipe claims about 2 or 4 GiB.
_UNKNOWN_BYTES = 0x7FFF_0000
_UNKNOWN_FRAMES = 2**62
_SHORTENED = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)


class AudioError(InputError):
    """A file or array that is not usable audio."""


class AudioWarning(UserWarning):
    """Warns that only a part of an audio file could be read."""


def read(path: str | Path) -> Wave:
    """Read an audio file of any format, rate and number of channels that libsndfile supports.

    Channels are averaged. For a truncated file, the result is the available part, with an `AudioWarning`.

    Args:
        path: the file.

    Returns:
        Mono audio at 16 kHz, shape (n,), n > 0.

    Raises:
        AudioError: the file is missing, a folder, empty, not audio, or contains NaN or infinite samples.
    """
    return np.concatenate(list(blocks(path)))


def load(given: AudioInput) -> Wave:
    """Return a wave: read it from an audio file, as `read` does, or check an array, as `as_wave` does.

    Raises:
        AudioError: the file or the array is not audio.
    """
    return read(given) if isinstance(given, str | Path) else as_wave(given)


def blocks(path: str | Path, block_s: float = 1.0) -> Iterator[Wave]:
    """Read an audio file block by block, in memory that does not grow with its length.

    Args:
        path: the file.
        block_s: approximate length of a block in seconds.

    Yields:
        Blocks of at least one sample; concatenated, they are exactly `read(path)`.

    Raises:
        AudioError: as for `read`, at the first block or at the faulty block.
    """
    empty = True
    with _opened(path) as file:
        rate_hz = file.samplerate
        resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE, num_channels=1, dtype="float32")
        for mono in _mono(file, path, max(1, round(block_s * rate_hz))):
            wave = mono if rate_hz == SAMPLE_RATE else resampler.resample_chunk(mono)
            if len(wave):
                empty = False
                yield wave
        if rate_hz != SAMPLE_RATE:
            rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            if len(rest):
                empty = False
                yield rest
    if empty:
        raise AudioError(f"{path}: contains no audio; use another file, or record it again")


def duration_s(path: str | Path) -> float:
    """Length of an audio file in seconds, from its header where possible.

    Raises:
        AudioError: the file is missing, a folder, empty or not audio.
    """
    with _opened(path) as file:
        if file.frames < _UNKNOWN_FRAMES:
            return file.frames / file.samplerate
    return sum(map(len, blocks(path))) / SAMPLE_RATE


def read_parts(path: str | Path, spans: Sequence[tuple[float, float | None]]) -> list[Wave]:
    """Read parts of an audio file in one pass; memory does not grow with the rest.

    Args:
        path: the file.
        spans: start and end of each part in seconds, in any order; they may overlap and are cut at the ends of the
            file. An end of None is that of the file.

    Returns:
        The parts in the order of the spans.

    Raises:
        AudioError: as in `read`.
    """
    limits = [
        (max(0, round(start_s * SAMPLE_RATE)), None if end_s is None else max(0, round(end_s * SAMPLE_RATE)))
        for start_s, end_s in spans
    ]
    pieces: list[list[Wave]] = [[np.zeros(0, np.float32)] for _ in spans]
    done = 0
    for block in blocks(path):
        for (first, last), found in zip(limits, pieces, strict=True):
            found.append(block[max(0, first - done) : None if last is None else max(0, last - done)])
        done += len(block)
        if all(last is not None and done >= last for _, last in limits):
            break
    return [np.concatenate(found) for found in pieces]


def read_spans(path: str | Path, spans: Sequence[tuple[float, float]]) -> list[Wave]:
    """Read short spans of a long audio file, without the audio between them.

    Decoding begins anew one second before a span, so that samples of compressed or resampled audio differ a little from
    those of `read_parts`.

    Args:
        path: the file.
        spans: start and end of each span in seconds, in any order; they may overlap and are cut at the ends of the
            file.

    Returns:
        The spans in their order.

    Raises:
        AudioError: the file is missing, a folder, empty or not audio.
    """
    with _opened(path) as file:
        if not file.seekable():
            return read_parts(path, spans)
        return [_read_span(file, max(0.0, start_s), end_s) for start_s, end_s in spans]


def _read_span(file: Any, start_s: float, end_s: float) -> Wave:
    """The audio of an open file between two times."""
    rate_hz, lead_s = file.samplerate, min(1.0, start_s)
    file.seek(min(file.frames, round((start_s - lead_s) * rate_hz)))
    # A resampler needs the audio after the span too.
    count = max(0, round((end_s - start_s + lead_s + 0.1) * rate_hz))
    piece = file.read(count, dtype="float32", always_2d=True).mean(axis=1)
    wave = piece if rate_hz == SAMPLE_RATE else soxr.resample(piece, rate_hz, SAMPLE_RATE)
    first = round(lead_s * SAMPLE_RATE)
    return wave[first : max(first, first + round((end_s - start_s) * SAMPLE_RATE))]


def write(path: str | Path, wave: ArrayLike) -> None:
    """Write a wave at 16 kHz; the suffix gives the format. Samples outside [-1, 1] are clipped.

    Args:
        path: the file, replaced if it exists: 16-bit .wav, .flac, .aiff …, or compressed .ogg, .mp3.
        wave: shape (n,); see `as_wave`.

    Raises:
        AudioError: the wave is not audio, the suffix is unknown, or the file cannot be written.
    """
    samples = _int16(as_wave(wave))
    try:
        sf.write(path, samples, SAMPLE_RATE)  # soundfile's default is 16 bits wherever the format stores plain numbers
    except TypeError as error:
        raise AudioError(f"{path}: the suffix is not an audio format; use .wav, .flac, .ogg or .mp3") from error
    except (sf.LibsndfileError, OSError) as error:
        raise AudioError(
            f"{path}: cannot be written ({_reason(error)}); check that its folder exists and is writable"
        ) from error


def pack(wave: ArrayLike) -> bytes:
    """Pack a wave as 16-bit FLAC, for a database.

    Args:
        wave: shape (n,), n > 0; see `as_wave`.

    Raises:
        AudioError: the wave is not audio, or empty.

    >>> np.abs(unpack(pack([0.25, -0.5]))).tolist()
    [0.25, 0.5]
    """
    samples = _int16(as_wave(wave))
    if not len(samples):
        raise AudioError("the wave is empty; give it at least one sample")
    packed = io.BytesIO()
    sf.write(packed, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return packed.getvalue()


def unpack(packed: bytes) -> Wave:
    """Unpack a wave that `pack` packed. A sample differs from the original by at most half a 16-bit step.

    Raises:
        AudioError: the bytes are damaged.
    """
    try:
        wave, _ = sf.read(io.BytesIO(packed), dtype="float32")
    except sf.LibsndfileError as error:
        raise AudioError(
            f"packed audio of {len(packed)} bytes is damaged ({_reason(error)}); pack the wave again"
        ) from error
    return wave


def as_wave(array: ArrayLike) -> Wave:
    """Check an array and convert it to a wave.

    Args:
        array: shape (n,), 16 kHz: floats in [-1, 1], or int16 or int32, which are scaled. n may be 0.

    Returns:
        The same array if it is float32, else a copy.

    Raises:
        AudioError: more than one dimension, not numbers, NaN or infinite samples, or floats that are not scaled.

    >>> as_wave(np.int16([0, 16384, -32768])).tolist()
    [0.0, 0.5, -1.0]
    """
    if isinstance(array, str | Path):
        raise AudioError(f"{array}: a path where a wave is needed; read it first: earmark.audio.read({str(array)!r})")
    given = np.asarray(array)
    if given.ndim != 1:
        raise AudioError(f"a wave has one dimension, not the shape {given.shape}; average its channels")
    if given.dtype in (np.int16, np.int32):
        return given.astype(np.float32) / -float(np.iinfo(given.dtype).min)
    if given.dtype.kind != "f":
        raise AudioError(f"a wave is float32, int16 or int32, not {given.dtype}; convert it with .astype")
    peak = np.abs(given).max(initial=0.0)
    if not np.isfinite(peak):
        raise AudioError("the wave contains NaN or infinite samples; correct the code that makes it")
    if peak > _PEAK_LIMIT:
        raise AudioError(f"a wave of floats is in [-1, 1], not up to {peak:.0f}; scale it down, or convert it to int16")
    return given.astype(np.float32, copy=False)


def _int16(wave: Wave) -> NDArray[np.int16]:
    # libsndfile multiplies by 32767 but divides by 32768: a file would change each time it is read and written.
    return np.clip(np.rint(wave * _INT16_SCALE), -_INT16_SCALE, _INT16_SCALE - 1).astype(np.int16)


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """Open a file with soundfile, or raise an `AudioError` with the reason and the cure."""
    place = Path(path)
    if place.is_dir():
        raise AudioError(f"{path}: a folder, not an audio file; name the files in it")
    try:
        if place.stat().st_size == 0:
            raise AudioError(f"{path}: the file is empty; use another file, or record it again")
        if not os.access(place, os.R_OK):
            raise AudioError(f"{path}: no permission to read; change its permissions")
        file = sf.SoundFile(place)
    except FileNotFoundError as error:
        raise AudioError(f"{path}: no such file; check the path") from error
    # TypeError: for a .raw file, soundfile requires the rate.
    except (sf.LibsndfileError, OSError, TypeError) as error:
        convert = f"ffmpeg -i {shlex.quote(str(path))} {shlex.quote(str(place.with_suffix('.16k.wav')))}"
        raise AudioError(f"{path}: not readable audio ({_reason(error)}); convert it: {convert}") from error
    with file:
        yield file


def _mono(file: Any, path: str | Path, frames: int) -> Iterator[Wave]:
    """Yield the average of the channels at the rate of the file, at most `frames` samples at a time."""
    shortened = _SHORTENED.search(file.extra_info)
    is_cut = shortened is not None and int(shortened[2]) < int(shortened[1]) < _UNKNOWN_BYTES
    done = 0
    fault: Exception | None = None
    while fault is None:
        piece = np.full((frames, file.channels), np.nan, np.float32)
        try:
            piece = file.read(out=piece)
        except sf.LibsndfileError as error:
            fault = error
            piece = piece[~np.isnan(piece[:, 0])]  # the samples that were decoded before the error
        if not len(piece):
            break
        if not np.isfinite(piece).all():
            at_s = (done + int(np.argmin(np.isfinite(piece).all(axis=1)))) / file.samplerate
            raise AudioError(f"{path}: contains NaN or infinite samples, the first at {at_s:.3f} s; export it again")
        done += len(piece)
        yield piece[:, 0] if file.channels == 1 else piece.mean(axis=1)
    if fault and not done:
        raise AudioError(f"{path}: damaged ({_reason(fault)}); copy or record it again") from fault
    if is_cut or done < file.frames < _UNKNOWN_FRAMES:
        message = f"{path}: truncated; only its first {done / file.samplerate:.2f} s can be read; copy it again"
        warn_user(message, AudioWarning)


def _reason(error: Exception) -> str:
    text = error.error_string if isinstance(error, sf.LibsndfileError) else str(error)
    return " ".join(text.split()).rstrip(".") or "no further detail"
