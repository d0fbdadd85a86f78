"""A waveform: read from any sound file, streamed, resampled, checked, written.

Inside earmark a wave is mono, 16 kHz, float32 in [-1, 1].
"""

import io
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import ArrayLike, NDArray

from earmark.core.errors import InputError, warn_user

SAMPLE_RATE = 16_000
"""Samples a second of every wave."""

Wave = NDArray[np.float32]
"""Mono audio, shape (n,), 16 kHz, in [-1, 1]."""

AudioInput = ArrayLike | Path
"""A wave, see `as_wave`, or the path of an audio file as str or Path."""

_INT16_SCALE = 32_768
# A float wave beyond this holds 16- or 32-bit numbers that nobody scaled; overdriven sound stays far below it.
_PEAK_LIMIT = 100.0
# A header that does not know its length, as of a file written through a pipe, claims about 2 or 4 GiB.
_UNKNOWN_BYTES = 0x7FFF_0000
_UNKNOWN_FRAMES = 2**62
_SHORTENED = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)


class AudioError(InputError):
    """A sound file or an array that is not usable sound."""


class AudioWarning(UserWarning):
    """A sound file that was read only in part."""


def read(path: str | Path) -> Wave:
    """Read a whole sound file of any format, rate and number of channels that libsndfile knows.

    Channels are averaged. A file that was cut off is read as far as it goes, with an `AudioWarning`.

    Args:
        path: the file.

    Returns:
        Mono sound at 16 kHz, shape (n,), n > 0.

    Raises:
        AudioError: the file is missing, a folder, empty, not sound, or holds NaN or infinite samples.
    """
    return np.concatenate(list(blocks(path)))


def load(given: AudioInput) -> Wave:
    """Read a path, or check a wave; see `read` and `as_wave`.

    Raises:
        AudioError: it is not audio.
    """
    return read(given) if isinstance(given, str | Path) else as_wave(given)


def blocks(path: str | Path, block_s: float = 1.0) -> Iterator[Wave]:
    """Read a sound file piece by piece, in memory that does not grow with its length.

    Args:
        path: the file.
        block_s: about how long a piece is, in seconds.

    Yields:
        Pieces of at least one sample; one after the other they are exactly `read(path)`.

    Raises:
        AudioError: as `read`, when the first piece, or the piece with the fault, is asked for.
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
        raise AudioError(f"{path}: holds no sound; record it again")


def duration_s(path: str | Path) -> float:
    """Length of a sound file in seconds, from its header where the header says it.

    Raises:
        AudioError: the file is missing, a folder, empty or not sound.
    """
    with _opened(path) as file:
        if file.frames < _UNKNOWN_FRAMES:
            return file.frames / file.samplerate
    return sum(map(len, blocks(path))) / SAMPLE_RATE


def write(path: str | Path, wave: ArrayLike) -> None:
    """Write a wave at 16 kHz; the suffix says the format. Samples beyond [-1, 1] are clipped.

    Args:
        path: the file, replaced if it exists: 16-bit .wav, .flac, .aiff …, or compressed .ogg, .mp3.
        wave: shape (n,); see `as_wave`.

    Raises:
        AudioError: the wave is not sound, the suffix not a sound format, or the place not writable.
    """
    samples = _int16(as_wave(wave))
    try:
        sf.write(path, samples, SAMPLE_RATE)  # soundfile's default is 16 bits wherever the format stores plain numbers
    except TypeError as error:
        raise AudioError(f"{path}: the suffix is no sound format; name it .wav, .flac, .ogg or .mp3") from error
    except (sf.LibsndfileError, OSError) as error:
        raise AudioError(f"{path}: cannot be written ({_reason(error)}); does its folder exist?") from error


def pack(wave: ArrayLike) -> bytes:
    """A wave as 16-bit FLAC, for keeping it in a database.

    Args:
        wave: shape (n,), n > 0; see `as_wave`.

    Raises:
        AudioError: the wave is not sound or holds no sample.

    >>> np.abs(unpack(pack([0.25, -0.5]))).tolist()
    [0.25, 0.5]
    """
    samples = _int16(as_wave(wave))
    if not len(samples):
        raise AudioError("the wave holds no sample; record it again")
    packed = io.BytesIO()
    sf.write(packed, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return packed.getvalue()


def unpack(packed: bytes) -> Wave:
    """The wave that `pack` packed, within half a step of 16 bits.

    Raises:
        AudioError: the bytes are damaged.
    """
    try:
        wave, _ = sf.read(io.BytesIO(packed), dtype="float32")
    except sf.LibsndfileError as error:
        raise AudioError(f"packed sound of {len(packed)} bytes is damaged ({_reason(error)})") from error
    return wave


def as_wave(array: ArrayLike) -> Wave:
    """Check an array that a caller hands over as sound, and make it a wave.

    Args:
        array: shape (n,), 16 kHz: floats in [-1, 1], or int16 or int32, which are scaled. n may be 0.

    Returns:
        The same array where it is float32 already, else a copy.

    Raises:
        AudioError: more than one dimension, not numbers, NaN or infinite samples, or integers given as floats.

    >>> as_wave(np.int16([0, 16384, -32768])).tolist()
    [0.0, 0.5, -1.0]
    """
    if isinstance(array, str | Path):
        raise AudioError(f"{array}: a path where a wave is needed; read it first: earmark.audio.read({str(array)!r})")
    given = np.asarray(array)
    if given.ndim != 1:
        raise AudioError(f"sound has one dimension, not shape {given.shape}; average the channels")
    if given.dtype in (np.int16, np.int32):
        return given.astype(np.float32) / -float(np.iinfo(given.dtype).min)
    if given.dtype.kind != "f":
        raise AudioError(f"sound is float32 in [-1, 1] or int16, not {given.dtype}; convert it with .astype")
    peak = np.abs(given).max(initial=0.0)
    if not np.isfinite(peak):
        raise AudioError("sound holds NaN or infinite samples; look where they come from")
    if peak > _PEAK_LIMIT:
        raise AudioError(f"sound is in [-1, 1], not up to {peak:.0f}; scale it down, or use int16")
    return given.astype(np.float32, copy=False)


def _int16(wave: Wave) -> NDArray[np.int16]:
    # Not libsndfile's own conversion: that multiplies by 32767 and reads back dividing by 32768, so that a file
    # read and written again would change each time.
    return np.clip(np.rint(wave * _INT16_SCALE), -_INT16_SCALE, _INT16_SCALE - 1).astype(np.int16)


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """The file opened by soundfile, or an `AudioError` that says why not and what to do."""
    place = Path(path)
    if place.is_dir():
        raise AudioError(f"{path}: a folder, not a sound file; name the files in it")
    try:
        if place.stat().st_size == 0:
            raise AudioError(f"{path}: the file is empty; record it again")
        if not os.access(place, os.R_OK):
            raise AudioError(f"{path}: may not be read; change its permissions")
        file = sf.SoundFile(place)
    except FileNotFoundError as error:
        raise AudioError(f"{path}: no such file") from error
    # TypeError: soundfile takes a .raw name as sound whose rate the caller must say.
    except (sf.LibsndfileError, OSError, TypeError) as error:
        convert = f"ffmpeg -i {shlex.quote(str(path))} {shlex.quote(str(place.with_suffix('.16k.wav')))}"
        raise AudioError(f"{path}: not sound that can be read ({_reason(error)}); convert with: {convert}") from error
    with file:
        yield file


def _mono(file: Any, path: str | Path, frames: int) -> Iterator[Wave]:
    """The channels' average at the file's own rate, at most `frames` samples at a time."""
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
            piece = piece[~np.isnan(piece[:, 0])]  # what was decoded before the fault
        if not len(piece):
            break
        if not np.isfinite(piece).all():
            at_s = (done + int(np.argmin(np.isfinite(piece).all(axis=1)))) / file.samplerate
            raise AudioError(f"{path}: holds NaN or infinite samples, the first at {at_s:.3f} s; export it again")
        done += len(piece)
        yield piece[:, 0] if file.channels == 1 else piece.mean(axis=1)
    if fault and not done:
        raise AudioError(f"{path}: damaged ({_reason(fault)}); copy or record it again") from fault
    if is_cut or done < file.frames < _UNKNOWN_FRAMES:
        message = f"{path}: cut off; only its first {done / file.samplerate:.2f} s can be read; copy it again"
        warn_user(message, AudioWarning)


def _reason(error: Exception) -> str:
    text = error.error_string if isinstance(error, sf.LibsndfileError) else str(error)
    return " ".join(text.split()).rstrip(".") or "no further detail"
