"""Scores of every window over stored frames: cosines, from running sums.

An embedding is the direction of the sum of its frame vectors (docs/decisions/0002). So the score of any window, of any
length, comes from the difference of two rows of a running sum.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

NEVER = np.float32(-2.0)
"""Score of a window that holds less than half of what it should."""

_PIECE = 2048  # frames summed at a time: the sums stay in the processor's cache, and exact in float32


def score_windows(
    frames: Floats, begins: Ints, vector: Floats, lengths: Sequence[int], parts: int = 1
) -> tuple[Floats, Ints]:
    """Compare a vector with the windows that end with each frame, and keep the best of each frame.

    A window that would begin before its section begins there, as the first windows of a stream do; it counts from half
    its length on. Same embeddings as `Encoder.embed_windows`, in a fifth of the time.

    Args:
        frames: shape (n, width), sections one after the other.
        begins: shape (n,), for each frame, the row in which its section begins.
        vector: shape (width,), unit length.
        lengths: frames a window.
        parts: of an embedding, `Encoder.parts`.

    Returns:
        The best cosine of the windows that end with each frame, shape (n,), and that window's length, shape (n,).
    """
    best = np.full(len(frames), NEVER, np.float32)
    chosen = np.full(len(frames), max(lengths), np.int64)
    for low in range(0, len(frames), _PIECE):
        high = min(low + _PIECE, len(frames))
        first = max(0, low - max(lengths), int(begins[low:high].min()))
        sums = np.zeros((high - first + 1, frames.shape[1]), np.float32)
        np.cumsum(frames[first:high], axis=0, out=sums[1:])
        stops, begun = np.arange(low + 1, high + 1) - first, np.maximum(begins[low:high] - first, 0)
        for length in lengths:
            score = _cosines(sums, stops, begun, vector, length, parts)
            score[2 * (stops - begun) < length] = NEVER
            better = score > best[low:high]
            best[low:high][better] = score[better]
            chosen[low:high][better] = length
    return best, chosen


def embed_windows(frames: Floats, begins: Ints, stops: Ints, length: int, parts: int = 1) -> Floats:
    """Embeddings of windows of one length; as `Encoder.embed_windows`, but none reaches beyond its section.

    Args:
        frames: shape (n, width), sections one after the other.
        begins: shape (m,), for each window, the row in which its section begins.
        stops: shape (m,), the row before which it ends.
        length: frames a window.
        parts: of an embedding.

    Returns:
        Unit vectors, shape (m, width).
    """
    sums = np.zeros((len(frames) + 1, frames.shape[1]))
    np.cumsum(frames, axis=0, out=sums[1:])
    windows = np.concatenate([part for _, part in _parts(sums, stops, begins, length, parts)], axis=1)
    norm = np.maximum(np.sqrt(np.einsum("ij,ij->i", windows, windows)), 1e-9)
    windows /= norm[:, None]
    return windows.astype(np.float32)


def _cosines(sums: Floats, stops: Ints, begins: Ints, vector: Floats, length: int, parts: int) -> Floats:
    """Cosine to the window of one length before each stop."""
    dot, power = np.zeros(len(stops), np.float32), np.zeros(len(stops), np.float32)
    for columns, window in _parts(sums, stops, begins, length, parts):
        dot += window @ vector[columns]
        power += np.einsum("ij,ij->i", window, window)
    return dot / np.sqrt(np.maximum(power, 1e-18))


def _parts(
    sums: NDArray[Any], stops: Ints, begins: Ints, length: int, parts: int
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """The sums of windows, part by part: which columns, and shape (m, width / parts)."""
    share = np.round(length * np.arange(parts + 1) / parts).astype(np.int64)
    width = sums.shape[1] // parts
    for part in range(parts):
        columns = slice(part * width, (part + 1) * width)
        low, high = (np.maximum(stops - length + share[edge], begins) for edge in (part, part + 1))
        window = sums[:, columns].take(high, axis=0)
        window -= sums[:, columns].take(low, axis=0)
        yield columns, window


def quantise(frames: Floats) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Frames in a quarter of the space: whole numbers from -127 to 127, and a scale for each frame.

    Args:
        frames: shape (n, width).

    Returns:
        Numbers, shape (n, width), and scales, shape (n,); their product is the frames, within 1/254 of the largest
        number of each.

    >>> numbers, scales = quantise(np.float32([[1.0, -0.5], [0.0, 0.0]]))
    >>> restore(numbers, scales).round(2).tolist()
    [[1.0, -0.5], [0.0, 0.0]]
    """
    peak = np.abs(frames).max(axis=1, initial=0.0)
    # float16 reaches down to 6e-8: fainter frames say nothing beside any other.
    scales = np.maximum(peak / 127, 1e-6).astype(np.float16)
    numbers = np.rint(frames / scales.astype(np.float32)[:, None])
    return np.clip(numbers, -127, 127).astype(np.int8), scales


def restore(numbers: NDArray[np.int8], scales: NDArray[np.float16]) -> Floats:
    """The frames that `quantise` packed; shape (n, width)."""
    return numbers.astype(np.float32) * scales.astype(np.float32)[:, None]
