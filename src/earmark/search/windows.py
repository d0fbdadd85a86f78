"""Scores of every window over stored frames: cosines, from running sums.

An embedding is the direction of the sum of its frame vectors (docs/decisions/0002). Its cosine to a query is the sum of
the frames' dot products with the query, over the length of the summed vector. The dot products are one matrix product
for windows of all lengths; how long the summed vectors are does not depend on the query, and is stored.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Ints = NDArray[np.int64]

NEVER = np.float32(-2.0)
"""Score of a window that holds less than half of what it should."""

SHORTEST_S, LONGEST_S = 0.12, 3.0
RATIO = 1.25

_PIECE = 2048  # frames summed at a time: the sums stay in the processor's cache, and exact in float32


def grid(hop_s: float) -> list[int]:
    """Lengths of the windows that can be compared, in frames: each about a quarter longer than the one before.

    >>> grid(0.04)
    [3, 4, 5, 6, 7, 9, 11, 14, 18, 22, 28, 35, 44, 55, 68]
    """
    steps = int(np.log(LONGEST_S / SHORTEST_S) / np.log(RATIO) + 1e-9) + 1
    return sorted({max(1, round(SHORTEST_S * RATIO**step / hop_s)) for step in range(steps)})


def dot_products(numbers: NDArray[np.int8], scales: Halves, vector: Floats, parts: int) -> Floats:
    """Dot product of each frame with a vector, part by part.

    Args:
        numbers: shape (n, width), from `quantize`.
        scales: shape (n,), from `quantize`.
        vector: shape (width,).
        parts: of an embedding.

    Returns:
        Shape (n, parts).
    """
    # One matrix product for all parts: each column is the vector where its part is, and zero elsewhere.
    columns = np.repeat(np.eye(parts, dtype=np.float32), len(vector) // parts, axis=0) * vector[:, None]
    dots = np.empty((len(numbers), parts), np.float32)
    # The same few pages of memory for every piece: fresh ones would cost more than the product.
    buffer = np.empty((min(_PIECE, len(numbers)), len(vector)), np.float32)
    for low in range(0, len(numbers), _PIECE):
        piece = buffer[: min(_PIECE, len(numbers) - low)]
        np.copyto(piece, numbers[low : low + _PIECE])
        np.matmul(piece, columns, out=dots[low : low + _PIECE])
    dots *= scales.astype(np.float32)[:, None]
    return dots


def score_windows(
    dots: Floats, norms: Halves, begins: Ints, columns: Sequence[int], lengths: Sequence[int]
) -> tuple[Floats, Ints]:
    """Score the windows that end with each frame, and keep the best of each frame.

    A window that would begin before its section begins there, as the first windows of a stream do; it counts from half
    its length on. The same cosines as with `Encoder.embed_windows`.

    Args:
        dots: shape (n, parts), from `dot_products`; sections one after the other.
        norms: shape (n, g), from `measure_norms`.
        begins: shape (n,), for each frame, the row in which its section begins.
        columns: of the norms that are to be compared.
        lengths: frames a window, those that the columns of the norms belong to, shape (g,).

    Returns:
        The best cosine of the windows that end with each frame, shape (n,), and that window's length, shape (n,).
    """
    count, parts = dots.shape
    sums = np.zeros((parts, count + 1))
    np.cumsum(dots.T, axis=1, out=sums[:, 1:])
    best = np.full(count, NEVER, np.float32)
    chosen = np.full(count, max(lengths), np.int64)
    stops = np.arange(1, count + 1)
    held = stops - begins
    for column in columns:
        length = lengths[column]
        edges = [np.maximum(stops - length + share, begins) for share in _shares(length, parts)]
        dot = np.zeros(count)
        for part, (low, high) in enumerate(pairwise(edges)):
            dot += sums[part, high] - sums[part, low]
        norm = length * np.maximum(norms[:, column].astype(np.float32), np.float32(1e-6))
        score = (dot / norm).astype(np.float32)
        score[2 * held < length] = NEVER
        better = score > best
        best[better], chosen[better] = score[better], length
    return best, chosen


def measure_norms(
    numbers: NDArray[np.int8], scales: Halves, begins: Ints, lengths: Sequence[int], parts: int
) -> Halves:
    """How long the summed vectors of the windows that end with each frame are, divided by the windows' lengths.

    Args:
        numbers: shape (n, width), from `quantize`; sections one after the other.
        scales: shape (n,), from `quantize`.
        begins: shape (n,), for each frame, the row in which its section begins.
        lengths: frames a window, shape (g,).
        parts: of an embedding.

    Returns:
        Shape (n, g).
    """
    norms = np.zeros((len(numbers), len(lengths)), np.float16)
    for low in range(0, len(numbers), _PIECE):
        high = min(low + _PIECE, len(numbers))
        first = max(0, low - max(lengths))
        sums = np.zeros((high - first + 1, numbers.shape[1]), np.float32)
        np.cumsum(restore(numbers[first:high], scales[first:high]), axis=0, out=sums[1:])
        stops, begun = np.arange(low + 1, high + 1) - first, np.maximum(begins[low:high] - first, 0)
        for column, length in enumerate(lengths):
            power = np.zeros(len(stops), np.float32)
            for window in _part_sums(sums, stops, begun, length, parts):
                power += np.einsum("ij,ij->i", window, window)
            norms[low:high, column] = np.sqrt(power) / length
    return norms


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
    windows: NDArray[Any] = np.concatenate(list(_part_sums(sums, stops, begins, length, parts)), axis=1)
    windows /= np.maximum(np.sqrt(np.einsum("ij,ij->i", windows, windows)), 1e-9)[:, None]
    return np.asarray(windows, np.float32)


def _part_sums(sums: NDArray[Any], stops: Ints, begins: Ints, length: int, parts: int) -> Iterator[NDArray[Any]]:
    """The sums of windows, part by part, each of shape (m, width / parts)."""
    width = sums.shape[1] // parts
    shares = _shares(length, parts)
    for part in range(parts):
        columns = slice(part * width, (part + 1) * width)
        low, high = (np.maximum(stops - length + shares[edge], begins) for edge in (part, part + 1))
        window = sums[:, columns].take(high, axis=0)
        window -= sums[:, columns].take(low, axis=0)
        yield window


def _shares(length: int, parts: int) -> Ints:
    """Where the parts of a window begin and end, in frames from its beginning; shape (parts + 1,)."""
    return np.round(length * np.arange(parts + 1) / parts).astype(np.int64)


def quantize(frames: Floats) -> tuple[NDArray[np.int8], Halves]:
    """Frames in a quarter of the space: whole numbers from -127 to 127, and a scale for each frame.

    Args:
        frames: shape (n, width).

    Returns:
        Numbers, shape (n, width), and scales, shape (n,); their product is the frames, within 1/254 of the largest
        number of each.

    >>> numbers, scales = quantize(np.float32([[1.0, -0.5], [0.0, 0.0]]))
    >>> restore(numbers, scales).round(2).tolist()
    [[1.0, -0.5], [0.0, 0.0]]
    """
    peak = np.abs(frames).max(axis=1, initial=0.0)
    # float16 reaches down to 6e-8: fainter frames say nothing beside any other.
    scales = np.maximum(peak / 127, 1e-6).astype(np.float16)
    numbers = np.rint(frames / scales.astype(np.float32)[:, None])
    return np.clip(numbers, -127, 127).astype(np.int8), scales


def restore(numbers: NDArray[np.int8], scales: Halves) -> Floats:
    """The frames that `quantize` packed; shape (n, width)."""
    return numbers.astype(np.float32) * scales.astype(np.float32)[:, None]
