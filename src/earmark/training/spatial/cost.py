"""What it costs to say where clips lie: distances to one anchor, beside distances of every clip to every other."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation.simulation.costs import Cost
from earmark.training.spatial.position import AT_ONCE, choose_anchors, positions

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
    on_done: Callable[[int], object] = lambda _: None,
) -> dict[str, Cost]:
    """Measure CPU seconds over the number of clips; what the clips hold does not matter.

    Args:
        sizes: numbers of clips, rising.
        dimension: numbers in a clip's mel spectrogram.
        repeats: of each measurement; the fastest counts.
        seed: of the stand-ins for spectrograms.
        on_done: told each size that is done.

    Returns:
        By way: `FULL` and `ANCHOR`.
    """
    rng = np.random.default_rng(seed)
    vectors = rng.random((max(sizes), dimension), np.float32)
    seconds: dict[str, list[float]] = {FULL: [], ANCHOR: []}
    for size in sizes:
        some = vectors[:size]
        seconds[FULL].append(_fastest(lambda some=some: mean_distances(some), repeats))  # type: ignore[misc]
        seconds[ANCHOR].append(_fastest(lambda some=some: positions(some, choose_anchors(some, 1, rng)), repeats))  # type: ignore[misc]
        on_done(size)
    return {way: Cost(np.array(sizes), np.array(found)) for way, found in seconds.items()}


def mean_distances(vectors: Floats) -> NDArray[np.float32]:
    """Mean cosine distance of each vector to all, itself included, shape (n,): what one anchor stands for.

    >>> mean_distances(np.float32([[1, 0], [0, 2]])).tolist()
    [0.5, 0.5]
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = np.empty(len(unit), np.float32)
    for start in range(0, len(unit), AT_ONCE):  # all n² at once would not fit into memory
        found[start : start + AT_ONCE] = (1 - unit[start : start + AT_ONCE] @ unit.T).mean(axis=1)
    return found


def _fastest(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)
