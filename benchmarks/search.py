"""Speed of indexing, size of an index, and duration of a query.

    python benchmarks/search.py CORPUS [--minutes 60] [--hours 1 10 100] [--queries 20]

The script indexes some minutes of the corpus. Then it makes indexes of many hours from copies of the frames, with added
noise of a tenth of their norm, so that no two copies are equal. Queries are spans of these copies, with noise too.
Times are CPU seconds of a process that has opened the index already, which other work on the machine hardly changes.
Whole commands, with their imports, are timed separately. The script writes benchmarks/results/search.md and search.png.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from page import options_parser, write_page

from earmark import audio, load_encoder
from earmark.data.corpora.folder import SOUND_SUFFIXES
from earmark.evaluation.plots.figures import empty_figure, line_style, save
from earmark.search import Index, IndexSettings, Query, Recording, open_index, search, update_index
from earmark.search.contents import SEGMENTS, SegmentEntry, write_contents
from earmark.search.embedding import EmbeddedRecording
from earmark.search.segments import NEIGHBORS, write_segment
from earmark.search.windows import dequantize, measure_norms, quantize, region_starts, window_lengths

SEGMENT_FRAMES = 900_000
NOISE = 0.1
LENGTHS_S = (0.35, 0.8)


@dataclass(frozen=True)
class Indexing:
    """Cost of indexing the corpus."""

    audio_h: float
    active_h: float
    wall_s: float
    cpu_s: float
    size: int


@dataclass(frozen=True)
class Searching:
    """Cost of searching an index; times in CPU seconds, sizes in bytes."""

    hours: float
    frames_size: int
    neighbors_size: int
    exact_s: float
    fast_s: float
    recall: float
    learn_s: float
    command_s: float


def main() -> None:
    """Measure, print, and write the tables and the figure."""
    parser = options_parser(__doc__, "search.md")
    parser.add_argument("corpus", type=Path, help="folder of recordings")
    parser.add_argument("--minutes", type=float, default=60.0, help="of audio to index")
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 10, 100], help="sizes of indexes to search")
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--encoder", default="base")
    parser.add_argument("--work", type=Path, help="folder for the indexes; a temporary one if not given")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="earmark-search-"))
    try:
        seed = work / "corpus.index"
        indexing = index(options.corpus, options.minutes, seed, options.encoder, options.threads)
        found = []
        for hours in options.hours:
            path = work / f"{hours:g}h.index"
            learn_s = tile(seed, path, hours, options.encoder)
            found.append(measure(path, options.queries, learn_s))
            print(found[-1], flush=True)
            shutil.rmtree(path)
        write_page(options.out, "\n".join(render(indexing, found, options)))
        draw(found, options.out.with_suffix(".png"))
    finally:
        if options.work is None:
            shutil.rmtree(work)


def index(corpus: Path, minutes: float, folder: Path, encoder: str, threads: int) -> Indexing:
    """Index the first minutes of a corpus."""
    recordings = []
    audio_s = 0.0
    for path in sorted(path for path in corpus.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES):
        if audio_s >= 60 * minutes:
            break
        recordings.append(Recording(path))
        audio_s += audio.duration_s(path)
    loaded = load_encoder(encoder)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    update_index(folder, recordings, loaded, threads=threads)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return Indexing(audio_s / 3600, open_index(folder).hours, wall_s, cpu_s, size_of(folder))


def tile(seed: Path, folder: Path, hours: float, encoder: str) -> float:
    """Make an index with some hours of active audio from another index; return the CPU seconds of FAISS's training."""
    index = open_index(seed)
    made_by = index.encoder
    wanted = round(3600 * hours / made_by.hop_s)
    settings = index.contents.settings.model_copy(update={"neighbors_from_h": 0.0})
    (folder / SEGMENTS).mkdir(parents=True)
    entries: list[SegmentEntry] = []
    group: list[EmbeddedRecording] = []
    count = 0
    for recording in copies(index, wanted):
        group.append(recording)
        count += len(recording.frames)
        if count >= SEGMENT_FRAMES:
            entries.append(write(folder, group, len(entries)))
            group, count = [], 0
    if group:
        entries.append(write(folder, group, len(entries)))
    contents = index.contents.model_copy(update={"segments": tuple(entries), "settings": settings, "codebook": None})
    write_contents(folder, contents)
    loaded = load_encoder(encoder)
    begun = time.process_time()
    update_index(folder, [], loaded)
    return time.process_time() - begun


def copies(index: Index, wanted: int) -> Iterator[EmbeddedRecording]:
    """Yield copies of an index's recordings with noise, until there are enough frames."""
    rng = np.random.default_rng(0)
    made_by = index.encoder
    count = turn = 0
    while count < wanted:
        for segment in index.segments:
            for number, file in segment.kept_files():
                recording = segment.recording(number)
                if count >= wanted or not len(recording.frames):
                    continue
                frames = noisy(dequantize(recording.frames, recording.scales), rng)
                numbers, scales = quantize(frames)
                starts = region_starts(recording.regions[:, 1])
                norms = measure_norms(numbers, scales, starts, window_lengths(made_by.hop_s), made_by.parts)
                name = replace(file, path=f"{file.path}-{turn}")
                yield replace(recording, file=name, frames=numbers, scales=scales, norms=norms)
                count += len(frames)
        turn += 1


def noisy(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise of a tenth of their norm to frames."""
    strength = NOISE * np.linalg.norm(frames, axis=1, keepdims=True) / np.sqrt(frames.shape[1])
    return (frames + strength * rng.standard_normal(frames.shape, np.float32)).astype(np.float32)


def measure(folder: Path, count: int, learn_s: float) -> Searching:
    """Measure searches of an index for spans of its own audio with noise."""
    index = open_index(folder)
    rng = np.random.default_rng(1)
    queries = list(draw_queries(index, count + 1, rng))
    exact_s, fast_s, recall = [], [], []
    for query in queries:
        begun = time.process_time()
        exact = search(index, query, exact=True)
        middle = time.process_time()
        fast = {(hit.file, hit.start_s) for hit in search(index, query, exact=False)}
        exact_s.append(middle - begun)
        fast_s.append(time.process_time() - middle)
        recall.append(np.mean([(hit.file, hit.start_s) in fast for hit in exact]))
    neighbors_size = sum(file.stat().st_size for file in folder.rglob(NEIGHBORS))
    neighbors_size += sum(file.stat().st_size for file in folder.glob("codebook-*"))
    return Searching(
        index.hours,
        size_of(folder) - neighbors_size,
        neighbors_size,
        # The first query reads the index from the disk.
        statistics.median(exact_s[1:]),
        statistics.median(fast_s[1:]),
        float(np.mean(recall)),
        learn_s,
        command_s(folder, index.encoder.name),
    )


def draw_queries(index: Index, count: int, rng: np.random.Generator) -> Iterator[Query]:
    """Draw spans of the indexed audio that are as long as words, and add noise."""
    made_by = index.encoder
    for _ in range(count):
        segment = index.segments[int(rng.integers(len(index.segments)))]
        length = round(rng.uniform(*LENGTHS_S) / made_by.hop_s)
        (long,) = np.nonzero(segment.regions[:, 2] > length)
        region = int(rng.choice(long))
        start = int(segment.offsets[region] + rng.integers(segment.regions[region, 2] - length))
        total = noisy(segment.dequantize(start, start + length), rng).sum(axis=0)
        yield Query("word", total / np.linalg.norm(total), length * made_by.hop_s, made_by.fingerprint)


def command_s(folder: Path, encoder: str) -> float:
    """CPU seconds of the second of two runs of `earmark search`, with its imports."""
    from earmark import demo

    command = [sys.executable, "-m", "earmark", "search", str(demo.take_files()[0]), "--index", str(folder), "--json"]
    for _ in range(2):
        begun = os.times()
        subprocess.run([*command, "--encoder", encoder], check=True, capture_output=True)
        ended = os.times()
    return ended.children_user + ended.children_system - begun.children_user - begun.children_system


def size_of(folder: Path) -> int:
    """Size of the files of an index, in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def render(indexing: Indexing, found: Sequence[Searching], options: argparse.Namespace) -> Iterator[str]:
    """The tables as lines of Markdown."""
    settings = IndexSettings()
    yield "# Cost of search"
    yield ""
    yield f"Made by `python benchmarks/search.py {options.corpus.name} --minutes {options.minutes:g} --hours " + (
        " ".join(f"{hours:g}" for hours in options.hours)
        + f" --queries {options.queries}`, encoder {options.encoder}; "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.0f} at the end."
    )
    yield ""
    yield "| indexing | |"
    yield "|---|---:|"
    yield f"| audio | {indexing.audio_h:.2f} h, of which {indexing.active_h:.2f} h active |"
    audio_s = 3600 * indexing.audio_h
    yield f"| speed (wall clock), {options.threads} thread(s) | {audio_s / indexing.wall_s:.0f} × real time |"
    yield f"| speed (CPU time) | {audio_s / indexing.cpu_s:.0f} × real time |"
    yield f"| size per hour of active audio | {indexing.size / indexing.active_h / 1e6:.1f} MB |"
    yield f"| size per hour of audio | {indexing.size / indexing.audio_h / 1e6:.1f} MB |"
    yield ""
    yield (
        "| hours of active audio | frames | FAISS | exact query | query through FAISS | recall of the ten best hits "
        "| making the FAISS index | whole command |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for row in found:
        yield (
            f"| {row.hours:.3g} | {row.frames_size / 1e6:.0f} MB ({row.frames_size / row.hours / 1e6:.1f} per hour) "
            f"| {row.neighbors_size / 1e6:.0f} MB ({row.neighbors_size / row.hours / 1e6:.1f} per hour) "
            f"| {1000 * row.exact_s:.0f} ms | {1000 * row.fast_s:.0f} ms | {100 * row.recall:.0f} % "
            f"| {row.learn_s:.0f} s | {row.command_s:.1f} s |"
        )
    yield ""
    yield (
        f"CPU seconds, medians of {options.queries} queries. By default, an index is searched through FAISS from "
        f"{settings.neighbors_from_h:g} hours on."
    )
    yield ""
    yield "![Duration of a query and size, over hours](search.png)"


def draw(found: Sequence[Searching], path: Path) -> None:
    """Plot duration of a query and size over hours."""
    hours = [row.hours for row in found]
    figure = empty_figure(9.0, 3.8)
    latency, size = figure.subplots(1, 2)
    for number, (name, key) in enumerate({"exact": "exact_s", "through FAISS": "fast_s"}.items()):
        latency.plot(hours, [getattr(row, key) for row in found], "o-", color=line_style(number)[0], label=name)
    latency.set(xscale="log", yscale="log", xlabel="hours of active audio", ylabel="CPU seconds per query")
    for number, (name, key) in enumerate({"frames": "frames_size", "FAISS": "neighbors_size"}.items()):
        size.plot(hours, [getattr(row, key) / 1e6 for row in found], "o-", color=line_style(number)[0], label=name)
    size.set(xscale="log", yscale="log", xlabel="hours of active audio", ylabel="MB")
    for axes in (latency, size):
        axes.grid(color="0.9", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
    save(figure, path)


def write(folder: Path, recordings: Sequence[EmbeddedRecording], number: int) -> SegmentEntry:
    """Write a segment of an index; return its entry in the contents."""
    name = f"{number + 1:06d}"
    write_segment(folder / SEGMENTS / name, recordings)
    return SegmentEntry(name=name, files=len(recordings), frames=sum(len(one.frames) for one in recordings))


if __name__ == "__main__":
    main()
