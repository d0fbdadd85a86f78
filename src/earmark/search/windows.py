"""Cosine scores of all windows over stored frames, from cumulative sums.

An embedding is the direction of the sum of its frames (docs/decisions/0002). Its cosine with a query is the sum of the
dot products of the frames with the query, divided by the norm of the sum. One matrix product serves windows of all
lengths; the norms do not depend on the query and are stored.

Frames of several regions are concatenated; `starts` says for each frame in which row its region starts.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.vectors import unit

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Ints = NDArray[np.int64]

NO_SCORE = np.float32(-2.0)
"""Score of a window with less than half of its frames inside its region."""

SHORTEST_S, LONGEST_S = 0.12, 3.0
RATIO = 1.25

CHUNK_FRAMES = 2048
"""Frames summed at a time: the sums fit into the processor's cache and are exact in float32."""


def window_lengths(hop_s: float) -> list[int]:
    """Lengths, in frames, of the windows that can be scored: each about a quarter longer than the last.

    >>> window_lengths(0.04)
    [3, 4, 5, 6, 7, 9, 11, 14, 18, 22, 28, 35, 44, 55, 68]
    """
    steps = int(np.log(LONGEST_S / SHORTEST_S) / np.log(RATIO) + 1e-9) + 1
    return sorted({max(1, round(SHORTEST_S * RATIO**step / hop_s)) for step in range(steps)})


def region_starts(sizes: Ints) -> Ints:
    """The row in which the region of each frame starts, from the sizes of all regions; shape (n,).

    >>> region_starts(np.array([2, 3])).tolist()
    [0, 0, 2, 2, 2]
    """
    return np.repeat(np.cumsum(sizes) - sizes, sizes)


def dot_products(
    numbers: NDArray[np.int8], scales: Halves, vector: Floats, parts: int, *, chunk: int = CHUNK_FRAMES
) -> Floats:
    """Compute the dot product of each frame with a vector, separately for each part of an embedding.

    Args:
        numbers: from `quantize`, shape (n, width).
        scales: from `quantize`, shape (n,).
        vector: shape (width,).
        parts: number of parts of an embedding.
        chunk: frames multiplied at a time.

    Returns:
        Shape (n, parts).
    """
    # One matrix product for all parts: column p holds part p of the vector, and zeros elsewhere.
    columns = np.repeat(np.eye(parts, dtype=np.float32), len(vector) // parts, axis=0) * vector[:, None]
    dots = np.empty((len(numbers), parts), np.float32)
    # One buffer for all chunks: allocating fresh pages would cost more than the product.
    buffer = np.empty((min(chunk, len(numbers)), len(vector)), np.float32)
    for low in range(0, len(numbers), chunk):
        filled = buffer[: min(chunk, len(numbers) - low)]
        np.copyto(filled, numbers[low : low + chunk])
        np.matmul(filled, columns, out=dots[low : low + chunk])
    dots *= scales.astype(np.float32)[:, None]
    return dots


def score_windows(
    dots: Floats, norms: Halves, starts: Ints, columns: Sequence[int], lengths: Sequence[int]
) -> tuple[Floats, Ints]:
    """Score all windows that end with each frame, and keep the best of each frame.

    A window that would start before its region is cut there, as at the start of a stream, and is scored if at least
    half of it is left. Scores equal those of `Encoder.embed_windows`.

    Args:
        dots: from `dot_products`, shape (n, parts).
        norms: from `measure_norms`, shape (n, g).
        starts: row in which the region of each frame starts, shape (n,).
        columns: columns of `norms` whose window lengths are scored.
        lengths: frames per window for each column of the norms, shape (g,).

    Returns:
        For the windows that end with each frame: the best cosine, shape (n,), and the length of the best window in
        frames, shape (n,).
    """
    count, parts = dots.shape
    sums = np.zeros((parts, count + 1))
    np.cumsum(dots.T, axis=1, out=sums[:, 1:])
    best = np.full(count, NO_SCORE, np.float32)
    chosen = np.full(count, max(lengths), np.int64)
    stops = np.arange(1, count + 1)
    available = stops - starts
    for column in columns:
        length = lengths[column]
        edges = [np.maximum(stops - length + edge, starts) for edge in _part_edges(length, parts)]
        dot = np.zeros(count)
        for part, (low, high) in enumerate(pairwise(edges)):
            dot += sums[part, high] - sums[part, low]
        norm = length * np.maximum(norms[:, column].astype(np.float32), np.float32(1e-6))
        score = (dot / norm).astype(np.float32)
        score[2 * available < length] = NO_SCORE
        better = score > best
        best[better], chosen[better] = score[better], length
    return best, chosen


def measure_norms(
    numbers: NDArray[np.int8],
    scales: Halves,
    starts: Ints,
    lengths: Sequence[int],
    parts: int,
    *,
    chunk: int = CHUNK_FRAMES,
) -> Halves:
    """Compute the norm of the sum of the frames of each window, divided by the length of the window.

    Args:
        numbers: from `quantize`, shape (n, width).
        scales: from `quantize`, shape (n,).
        starts: row in which the region of each frame starts, shape (n,).
        lengths: frames per window, shape (g,).
        parts: number of parts of an embedding.
        chunk: frames summed at a time.

    Returns:
        Norms of the windows that end with each frame, one column per length, shape (n, g).
    """
    norms = np.zeros((len(numbers), len(lengths)), np.float16)
    for low in range(0, len(numbers), chunk):
        high = min(low + chunk, len(numbers))
        first = max(0, low - max(lengths))
        sums = np.zeros((high - first + 1, numbers.shape[1]), np.float32)
        np.cumsum(dequantize(numbers[first:high], scales[first:high]), axis=0, out=sums[1:])
        stops, begun = np.arange(low + 1, high + 1) - first, np.maximum(starts[low:high] - first, 0)
        for column, length in enumerate(lengths):
            power = np.zeros(len(stops), np.float32)
            for window in _part_sums(sums, stops, begun, length, parts):
                power += np.einsum("ij,ij->i", window, window)
            norms[low:high, column] = np.sqrt(power) / length
    return norms


def embed_windows(frames: Floats, starts: Ints, stops: Ints, length: int, parts: int = 1) -> Floats:
    """Embed windows of one length as `Encoder.embed_windows` does, but cut them at the start of their region.

    Args:
        frames: shape (n, width).
        starts: row in which the region of each window starts, shape (m,).
        stops: row after the last frame of each window, shape (m,).
        length: frames per window.
        parts: number of parts of an embedding.

    Returns:
        Unit vectors, shape (m, width).
    """
    sums = np.zeros((len(frames) + 1, frames.shape[1]))
    np.cumsum(frames, axis=0, out=sums[1:])
    windows = np.concatenate(list(_part_sums(sums, stops, starts, length, parts)), axis=1)
    return unit(windows, tiny=1e-9).astype(np.float32)


def quantize(frames: Floats) -> tuple[NDArray[np.int8], Halves]:
    """Quantize frames to int8, with a scale per frame.

    Args:
        frames: shape (n, width).

    Returns:
        Numbers from -127 to 127, shape (n, width), and scales, shape (n,). Their product differs from the frames by
        at most 1/254 of the largest number of each frame.

    >>> numbers, scales = quantize(np.float32([[1.0, -0.5], [0.0, 0.0]]))
    >>> dequantize(numbers, scales).round(2).tolist()
    [[1.0, -0.5], [0.0, 0.0]]
    """
    peak = np.abs(frames).max(axis=1, initial=0.0)
    # The bound keeps a scale above the smallest float16, 6e-8. Frames this weak do not matter.
    scales = np.maximum(peak / 127, 1e-6).astype(np.float16)
    numbers = np.rint(frames / scales.astype(np.float32)[:, None])
    return np.clip(numbers, -127, 127).astype(np.int8), scales


def dequantize(numbers: NDArray[np.int8], scales: Halves) -> Floats:
    """Convert the result of `quantize` back to frames of floats, shape (n, width)."""
    return numbers.astype(np.float32) * scales.astype(np.float32)[:, None]


def _part_sums(sums: NDArray[Any], stops: Ints, starts: Ints, length: int, parts: int) -> Iterator[NDArray[Any]]:
    """Yield the sums of windows for each part of an embedding, each of shape (m, width / parts)."""
    width = sums.shape[1] // parts
    edges = _part_edges(length, parts)
    for part in range(parts):
        columns = slice(part * width, (part + 1) * width)
        low, high = (np.maximum(stops - length + edges[edge], starts) for edge in (part, part + 1))
        window = sums[:, columns].take(high, axis=0)
        window -= sums[:, columns].take(low, axis=0)
        yield window


def _part_edges(length: int, parts: int) -> Ints:
    """Edges of the parts of a window, in frames from its start, shape (parts + 1,)."""
    return np.round(length * np.arange(parts + 1) / parts).astype(np.int64)
