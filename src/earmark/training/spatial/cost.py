"""Measures the CPU time of two ways to compute positions of clips: distances to one anchor, or between all clips."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.progress import Progress, follow, no_progress
from earmark.core.vectors import unit
from earmark.evaluation.simulation.costs import Cost
from earmark.training.spatial.position import BLOCK, choose_anchors, positions

Floats = NDArray[np.floating]

FULL, ANCHOR = "every clip to every other", "every clip to the mean"
SIZES = (250, 500, 1000, 2000, 4000, 8000)
DIMENSION = 128 * 32


def measure_cost(
    sizes: Sequence[int] = SIZES,
    *,
    dimension: int = DIMENSION,
    repeats: int = 3,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Cost]:
    """Measure the CPU time of computing positions by distances to one anchor, and by distances between all clips.

    The positions are of random vectors, for several numbers of clips.

    Args:
        sizes: numbers of clips, ascending.
        dimension: number of values in the mel spectrogram of a clip.
        repeats: number of repetitions of each measurement, of which the fastest counts.
        seed: seed of the vectors.
        progress: counts sizes.

    Returns:
        For each method, `FULL` (between all clips) and `ANCHOR`, the CPU times in seconds by number of clips.
    """
    rng = np.random.default_rng(seed)
    vectors = rng.random((max(sizes), dimension), np.float32)
    seconds: dict[str, list[float]] = {FULL: [], ANCHOR: []}
    for size in follow(sizes, "measuring", progress):
        some = vectors[:size]
        seconds[FULL].append(_fastest(lambda some=some: mean_distances(some), repeats))  # type: ignore[misc]
        seconds[ANCHOR].append(_fastest(lambda some=some: positions(some, choose_anchors(some, 1, rng)), repeats))  # type: ignore[misc]
    return {way: Cost(np.array(sizes), np.array(found)) for way, found in seconds.items()}


def mean_distances(vectors: Floats) -> NDArray[np.float32]:
    """Compute the mean cosine distance of each of n vectors to all of them, itself included, shape (n,).

    >>> mean_distances(np.float32([[1, 0], [0, 2]])).tolist()
    [0.5, 0.5]
    """
    units = unit(vectors)
    found = np.empty(len(units), np.float32)
    for start in range(0, len(units), BLOCK):  # n² distances do not fit into memory
        found[start : start + BLOCK] = (1 - units[start : start + BLOCK] @ units.T).mean(axis=1)
    return found


def _fastest(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)
