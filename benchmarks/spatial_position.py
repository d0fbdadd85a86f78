"""CPU seconds and memory that it takes to say where n clips lie among each other.

    python benchmarks/spatial_position.py [--most 8000] [--runs 3]

Humayun, Yassin and Abas (2021) replace the distances of every clip to every other, n² of them, by those to the mean of
all, n of them. Both are measured, and ten anchors by k-means, on vectors as long as the mel spectrogram of a second;
what they hold does not matter. All in one process, on one thread, and in turn; the median of the runs is written to
benchmarks/results/spatial-position.md, and to spatial-position.csv for plots (`earmark.evaluation.simulation.costs`).
"""

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation.simulation.costs import Cost, write_costs
from earmark.training.spatial.cost import mean_distances
from earmark.training.spatial.position import choose_anchors, positions

DIMENSION = 128 * 32
LEAST = 250

Floats = NDArray[np.float32]


def to_anchors(count: int) -> Callable[[Floats], object]:
    """Choose so many anchors, and measure every clip's distance to each."""
    return lambda vectors: positions(vectors, choose_anchors(vectors, count, np.random.default_rng(0)))


WAYS: dict[str, Callable[[Floats], object]] = {
    "every clip to every other": mean_distances,
    "every clip to the mean": to_anchors(1),
    "every clip to ten anchors": to_anchors(10),
}


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=8000, help="clips, at most; sizes double from 250 on")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/spatial-position.md"))
    settings = parser.parse_args()
    sizes = [LEAST]
    while 2 * sizes[-1] <= settings.most:
        sizes.append(2 * sizes[-1])
    vectors = np.random.default_rng(0).random((sizes[-1], DIMENSION), np.float32)
    seconds = {name: [measure(way, vectors[:size], settings.runs) for size in sizes] for name, way in WAYS.items()}
    memory = {name: [held(way, vectors[:size]) for size in sizes] for name, way in WAYS.items()}
    text = "\n".join(render(sizes, seconds, memory, settings.runs))
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    settings.out.write_text(text + "\n", encoding="utf-8")
    costs = {name: Cost(np.array(sizes), np.array(found)) for name, found in seconds.items()}
    write_costs(settings.out.with_suffix(".csv"), costs)
    print(text)


def measure(way: Callable[[Floats], object], vectors: Floats, runs: int) -> float:
    """Median CPU seconds."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        way(vectors)
        times.append(time.process_time() - begun)
    return statistics.median(times)


def held(way: Callable[[Floats], object], vectors: Floats) -> float:
    """MiB at most beside the vectors."""
    tracemalloc.start()
    way(vectors)
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
    yield "CPU seconds; the last column is the power of n that they grow with between the last two sizes."
    yield ""
    yield f"| n | {' | '.join(f'{size:,}' for size in sizes)} | power |"
    yield f"|---|{'---|' * len(sizes)}---|"
    for name, values in seconds.items():
        power = np.log2(values[-1] / values[-2]) if len(values) > 1 else np.nan
        yield f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} | {power:.2f} |"
    yield ""
    yield "MiB held at most, beside the vectors; 1,024 clips at a time are measured against all others."
    yield ""
    yield f"| n | {' | '.join(f'{size:,}' for size in sizes)} |"
    yield f"|---|{'---|' * len(sizes)}"
    for name, values in memory.items():
        yield f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |"


if __name__ == "__main__":
    main()
