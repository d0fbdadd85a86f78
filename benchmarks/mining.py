"""Cost of mining by the number of segments, beside plain FAISS calls: seconds, memory, pairs.

    python benchmarks/mining.py --segments 10000 --segments 100000 [--segments 1000000]

The vectors are synthetic: points around centers, with several speakers per center, as words are. Segments are on the
published grid, so most of them overlap with others. Each size runs in a process of its own, which measures its peak
memory. Plain FAISS is the same search without earmark: `faiss.knn` over all segments for k and 60 more neighbors, whose
overlaps would then be dropped; or, from `exact_rows` segments on, the same inverted lists. Earlier sizes are kept, so
that a larger one can be added later.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

from earmark.core.vectors import unit
from earmark.data.manifest import Clip
from earmark.evaluation.plots.figures import COLORS, one_panel, save
from earmark.training.mining.neighbors import find_neighbors, measure_recall
from earmark.training.mining.pairs import kept_pairs
from earmark.training.mining.search import list_count
from earmark.training.mining.segment_table import Names, sort_segments
from earmark.training.mining.settings import MiningSettings
from earmark.training.mining.threshold import choose_threshold

RESULTS = Path(__file__).parent / "results"
_A_FILE, _FILES_A_SPEAKER, _SPARE = 50, 20, 60


def synthetic(count, width, seed=0):
    """Make a table of segments on a grid, and unit vectors, shape (count, width)."""
    rng = np.random.default_rng(seed)
    names, clips = Names(), []
    for number in range(count):
        file, place = divmod(number, _A_FILE)
        start = 0.16 * (place // 6)
        speaker = f"voice{file // _FILES_A_SPEAKER}"
        clips.append(Clip(f"{file}.wav", round(start, 6), round(start + 0.16 * (1 + place % 6), 6), speaker))
    table, _ = sort_segments(names.rows(clips), names)
    centers = rng.normal(size=(max(50, count // 40), width)).astype(np.float32)
    vectors = np.empty((count, width), np.float32)
    for low in range(0, count, 65_536):
        high = min(low + 65_536, count)
        noise = rng.normal(size=(high - low, width)).astype(np.float32)
        vectors[low:high] = centers[rng.integers(len(centers), size=high - low)] + noise
        vectors[low:high] = unit(vectors[low:high])
    return table, vectors


def plain(vectors, settings):
    """Wall and CPU seconds of a plain FAISS search of all segments for k and some more neighbors."""
    wall, used = time.perf_counter(), time.process_time()
    if len(vectors) <= settings.exact_rows:
        faiss.knn(vectors, vectors, settings.neighbors + _SPARE, metric=faiss.METRIC_INNER_PRODUCT)
    else:
        width, lists = vectors.shape[1], list_count(len(vectors))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.spherical, index.cp.niter, index.nprobe = True, 10, settings.probes
        index.train(vectors[:: max(1, len(vectors) // (48 * lists))])
        index.add(vectors)
        index.search(vectors, settings.neighbors + _SPARE)
    return time.perf_counter() - wall, time.process_time() - used


def peak_mib():
    """Peak memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(count, relation, settings, with_plain, results):
    """Measure one size in this process, and put a row of numbers into a queue."""
    table, vectors = synthetic(count, settings.dimension)
    row = {"segments": count, "relation": relation, "made_mib": peak_mib()}
    with tempfile.TemporaryDirectory() as folder:
        # The vectors are mapped from a file, as after the projection of a real corpus.
        np.save(Path(folder) / "vectors.npy", vectors)
        del vectors
        mapped = np.load(Path(folder) / "vectors.npy", mmap_mode="r", allow_pickle=False)
        wall, used = time.perf_counter(), time.process_time()
        chosen = settings.model_copy(update={"relation": relation})
        (Path(folder) / "found").mkdir()
        found = find_neighbors(mapped, table, chosen, Path(folder) / "found")
        row |= {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - used}
        used = time.process_time()
        best = np.asarray(found.similarities).max(axis=1)
        threshold = choose_threshold(best, chosen.coverage, chosen.bin_width).threshold
        row["pairs"] = sum(len(first) for first, _, _ in kept_pairs(found, threshold, mutual=False))
        row |= {"pairs_cpu_s": time.process_time() - used, "peak_mib": peak_mib()}
        row["recall"] = measure_recall(mapped, table, found, chosen) if found.is_approximate else 1.0
        if with_plain:
            row["plain_wall_s"], row["plain_cpu_s"] = plain(np.ascontiguousarray(mapped), chosen)
    results.put(row)


def write(rows):
    """Write the table and the plot."""
    heads = [
        "segments",
        "neighbors among",
        "search, CPU s",
        "plain FAISS, CPU s",
        "pairs, CPU s",
        "pairs",
        "peak memory, MiB",
        "true neighbors found",
    ]
    lines = ["# Mining by the number of segments", "", __doc__.split("\n\n")[2].replace("\n", " ").strip(), ""]
    lines += [
        "128 numbers a segment, k = 10, 64 lists searched. CPU seconds of one thread; memory includes making the data.",
        "",
    ]
    lines += ["| " + " | ".join(heads) + " |", "|" + " ---: |" * len(heads)]
    for row in rows:
        plain_s = f"{row['plain_cpu_s']:.1f}" if "plain_cpu_s" in row else "–"
        cells = [
            f"{row['segments']:,}",
            row["relation"],
            f"{row['cpu_s']:.1f}",
            plain_s,
            f"{row['pairs_cpu_s']:.1f}",
            f"{row['pairs']:,}",
            f"{row['peak_mib']:.0f}",
            f"{100 * row['recall']:.1f} %",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    (RESULTS / "mining.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figure, axes = one_panel(6.4, 3.8)
    for number, relation in enumerate(dict.fromkeys(row["relation"] for row in rows)):
        some = [row for row in rows if row["relation"] == relation]
        sizes = [row["segments"] for row in some]
        axes.plot(sizes, [row["cpu_s"] for row in some], "o-", color=COLORS[number], label=f"earmark, {relation}")
        known = [(row["segments"], row["plain_cpu_s"]) for row in some if "plain_cpu_s" in row]
        if known:
            axes.plot(*zip(*known, strict=True), "s--", color="0.5", label="plain FAISS")
    axes.set(xscale="log", yscale="log", xlabel="segments", ylabel="seconds of one core")
    axes.grid(color="0.92", lw=0.6)
    axes.legend(frameon=False, fontsize="small")
    save(figure, RESULTS / "mining.png")


def main():
    """Measure the given sizes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, action="append", help="may be repeated")
    parser.add_argument("--exact-rows", type=int, help="maximum number of segments for exact search")
    parser.add_argument("--probes", type=int, help="inverted lists searched")
    parser.add_argument("--relation", choices=("any", "across"), action="append", help="default: both; may be repeated")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    changed = {"exact_rows": options.exact_rows, "probes": options.probes}
    settings = MiningSettings(**{key: value for key, value in changed.items() if value is not None})
    kept = RESULTS / "mining.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    spawning = multiprocessing.get_context("spawn")
    for count in options.segments or [10_000]:
        for relation in options.relation or ("any", "across"):
            results = spawning.Queue()
            work = spawning.Process(target=measure, args=(count, relation, settings, relation == "any", results))
            work.start()
            row = results.get()
            work.join()
            print(row, flush=True)
            rows = [one for one in rows if (one["segments"], one["relation"]) != (count, relation)] + [row]
            rows.sort(key=lambda one: (one["relation"], one["segments"]))
            kept.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n")
            write(rows)


if __name__ == "__main__":
    main()
