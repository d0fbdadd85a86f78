"""CPU time and memory of positions of n clips.

    python benchmarks/spatial_position.py [--most 8000] [--runs 3]

Humayun, Yassin and Abas (2021) replace the n² distances of every clip to every other by the n distances to the mean.
The script measures both, and also the distances to ten anchors by k-means, on random vectors of the size of a mel
spectrogram of one second. All methods run in turn in one process, on one thread. The medians are written to
benchmarks/results/spatial-position.md, and to spatial-position.csv for plots (`earmark.evaluation.simulation.costs`).
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from page import options_parser, write_page

from earmark.evaluation.simulation.costs import Cost, write_costs
from earmark.training.spatial.cost import mean_distances
from earmark.training.spatial.position import choose_anchors, positions

DIMENSION = 128 * 32
LEAST = 250

Floats = NDArray[np.float32]


def to_anchors(count: int) -> Callable[[Floats], object]:
    """Make a function that chooses `count` anchors and computes the distance of every clip to each anchor."""
    return lambda vectors: positions(vectors, choose_anchors(vectors, count, np.random.default_rng(0)))


METHODS: dict[str, Callable[[Floats], object]] = {
    "every clip to every other": mean_distances,
    "every clip to the mean": to_anchors(1),
    "every clip to ten anchors": to_anchors(10),
}


def main() -> None:
    """Measure, print and write the tables."""
    parser = options_parser(__doc__, "spatial-position.md")
    parser.add_argument("--most", type=int, default=8000, help="largest number of clips; sizes double from 250 on")
    parser.add_argument("--runs", type=int, default=3)
    settings = parser.parse_args()
    sizes = [LEAST]
    while 2 * sizes[-1] <= settings.most:
        sizes.append(2 * sizes[-1])
    vectors = np.random.default_rng(0).random((sizes[-1], DIMENSION), np.float32)
    seconds = {
        name: [median_seconds(method, vectors[:size], settings.runs) for size in sizes]
        for name, method in METHODS.items()
    }
    memory = {name: [peak_memory(method, vectors[:size]) for size in sizes] for name, method in METHODS.items()}
    text = "\n".join(render(sizes, seconds, memory, settings.runs))
    write_page(settings.out, text)
    costs = {name: Cost(np.array(sizes), np.array(found)) for name, found in seconds.items()}
    write_costs(settings.out.with_suffix(".csv"), costs)


def median_seconds(method: Callable[[Floats], object], vectors: Floats, runs: int) -> float:
    """Median CPU seconds of several runs of a method."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        method(vectors)
        times.append(time.process_time() - start)
    return statistics.median(times)


def peak_memory(method: Callable[[Floats], object], vectors: Floats) -> float:
    """Peak memory of a method without the vectors, in MiB."""
    tracemalloc.start()
    method(vectors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def render(
    sizes: list[int], seconds: dict[str, list[float]], memory: dict[str, list[float]], runs: int
) -> Iterator[str]:
    """The tables as lines of Markdown."""
    yield "# Cost of position features"
    yield ""
    yield f"Vectors of {DIMENSION:,} numbers, one thread, median of {runs} runs in turn."
    yield "Made by `python benchmarks/spatial_position.py`."
    yield ""
    yield "CPU seconds; the last column is the exponent of n between the last two sizes."
    yield ""
    yield f"| n | {' | '.join(f'{size:,}' for size in sizes)} | power |"
    yield f"|---|{'---|' * len(sizes)}---|"
    for name, values in seconds.items():
        power = np.log2(values[-1] / values[-2]) if len(values) > 1 else np.nan
        yield f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} | {power:.2f} |"
    yield ""
    yield "Peak memory without the vectors, in MiB; 1,024 clips at a time are compared with all others."
    yield ""
    yield f"| n | {' | '.join(f'{size:,}' for size in sizes)} |"
    yield f"|---|{'---|' * len(sizes)}"
    for name, values in memory.items():
        yield f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |"


if __name__ == "__main__":
    main()
