"""Frames of recordings that ship, or replace them: computed once for each encoder, and kept in the user's cache."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
from numpy.typing import NDArray

from earmark.core.arrays import read_array, write_array
from earmark.core.audio import SAMPLE_RATE, blocks, duration_s
from earmark.core.errors import EarmarkError
from earmark.core.progress import Progress, no_progress

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

_HALF_LIMIT = 6e4  # half precision ends at 65504


def cached_frames(path: Path, encoder: Encoder, noun: str, *, progress: Progress = no_progress) -> NDArray[np.floating]:
    """Frames of a recording; computed only where the cache has none.

    Args:
        path: of the recording.
        encoder: computes the frames.
        noun: what the recording is, such as background: the folder in the cache, and part of the name of the stage.
        progress: called with seconds of audio.

    Returns:
        Shape (t, width), in half precision where their values fit.

    Raises:
        AudioError: the recording is not audio.
    """
    folder = platformdirs.user_cache_path("earmark", appauthor=False) / noun
    cached = folder / f"{encoder.fingerprint[:32]}-{file_digest(path)}.npy"
    frames = _read_cache(cached)
    if frames is None:
        frames = compute_frames(path, encoder, noun, progress=progress)
        # A full disk or a read-only home only costs the time again.
        with suppress(EarmarkError, OSError):
            write_array(cached, frames)
    return frames


def compute_frames(
    path: Path, encoder: Encoder, noun: str, *, progress: Progress = no_progress
) -> NDArray[np.floating]:
    """Compute the frames of a recording block by block; arguments and result as those of `cached_frames`."""
    stream, pieces, done_s, length_s = encoder.stream(), [], 0.0, duration_s(path)
    for block in blocks(path):
        pieces.append(stream.push(block))
        done_s += len(block) / SAMPLE_RATE
        progress(f"preparing the {noun}", done_s, length_s)
    pieces.append(stream.finish())
    frames = np.concatenate(pieces)
    return frames.astype(np.float16) if np.abs(frames).max() < _HALF_LIMIT else frames


def file_digest(path: Path) -> str:
    """Sixteen hexadecimal digits that identify the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _read_cache(path: Path) -> NDArray[np.floating] | None:
    """Cached frames; None where there are none, or the file is damaged."""
    try:
        frames = read_array(path) if path.is_file() else None
    except EarmarkError:
        return None
    return None if frames is None or frames.ndim != 2 or not len(frames) else frames
