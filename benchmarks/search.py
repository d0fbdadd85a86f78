"""How fast recordings are indexed, how large an index is, and how long a query takes.

    python benchmarks/search.py CORPUS [--minutes 60] [--hours 1 10 100] [--queries 20]

Indexes so many minutes of the corpus, then makes archives of many hours of the frames that it found: copies, each with
noise of its own, a tenth as strong as the frames, so that no two places are the same. Queries are stretches of these,
with noise too. Times are seconds of the processor, which others' work on the machine does not lengthen, and those of a
process that has the index open already; whole commands, imports included, are timed apart.
Writes benchmarks/results/search.md and search.png.
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

from earmark import audio, load_encoder
from earmark.data.corpora.folder import SOUND_SUFFIXES
from earmark.evaluation.plots.figures import empty_figure, line_style, save
from earmark.search import Archive, IndexSettings, Query, Recording, open_archive, search, update
from earmark.search.contents import SEGMENTS, SegmentEntry, write_contents
from earmark.search.embedding import Embedded
from earmark.search.segments import NEIGHBOURS, write_segment
from earmark.search.windows import grid, measure_norms, quantize, restore

SEGMENT_FRAMES = 900_000
NOISE = 0.1
LENGTHS_S = (0.35, 0.8)


@dataclass(frozen=True)
class Indexing:
    """What indexing the corpus took."""

    sound_h: float
    sections_h: float
    wall_s: float
    processor_s: float
    size: int


@dataclass(frozen=True)
class Searching:
    """What searching an archive of so many hours takes, in seconds."""

    hours: float
    stored: int
    neighbors: int
    exact_s: float
    fast_s: float
    recall: float
    learn_s: float
    command_s: float


def main() -> None:
    """Measure, print, write the tables and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder of recordings")
    parser.add_argument("--minutes", type=float, default=60.0, help="of sound to index")
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 10, 100], help="sizes of archives to search")
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--encoder", default="base")
    parser.add_argument("--work", type=Path, help="folder for the archives; a temporary one unless given")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/search.md"))
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="earmark-search-"))
    try:
        seed = work / "corpus.index"
        indexing = index(options.corpus, options.minutes, seed, options.encoder, options.threads)
        found = []
        for hours in options.hours:
            place = work / f"{hours:g}h.index"
            learn_s = tile(seed, place, hours, options.encoder)
            found.append(measure(place, options.queries, learn_s))
            print(found[-1], flush=True)
            shutil.rmtree(place)
        text = "\n".join(render(indexing, found, options))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")
        draw(found, options.out.with_suffix(".png"))
        print(text)
    finally:
        if options.work is None:
            shutil.rmtree(work)


def index(corpus: Path, minutes: float, place: Path, encoder: str, threads: int) -> Indexing:
    """Index the first so many minutes of a corpus."""
    recordings = []
    sound_s = 0.0
    for path in sorted(path for path in corpus.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES):
        if sound_s >= 60 * minutes:
            break
        recordings.append(Recording(path))
        sound_s += audio.duration_s(path)
    loaded = load_encoder(encoder)
    wall_s, processor_s = time.perf_counter(), time.process_time()
    update(place, recordings, loaded, threads=threads)
    wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    return Indexing(sound_s / 3600, open_archive(place).hours, wall_s, processor_s, size_of(place))


def tile(seed: Path, place: Path, hours: float, encoder: str) -> float:
    """Make an archive of so many hours of sections out of another one; returns the processor's seconds for FAISS."""
    archive = open_archive(seed)
    made_by = archive.contents.encoder
    wanted = round(3600 * hours / made_by.hop_s)
    settings = archive.contents.settings.model_copy(update={"neighbors_from_h": 0.0})
    (place / SEGMENTS).mkdir(parents=True)
    entries: list[SegmentEntry] = []
    group: list[Embedded] = []
    count = 0
    for recording in copies(archive, wanted):
        group.append(recording)
        count += len(recording.frames)
        if count >= SEGMENT_FRAMES:
            entries.append(_written(place, group, len(entries)))
            group, count = [], 0
    if group:
        entries.append(_written(place, group, len(entries)))
    contents = archive.contents.model_copy(update={"segments": tuple(entries), "settings": settings, "codebook": None})
    write_contents(place, contents)
    loaded = load_encoder(encoder)
    begun = time.process_time()
    update(place, [], loaded)
    return time.process_time() - begun


def copies(archive: Archive, wanted: int) -> Iterator[Embedded]:
    """Recordings of an archive over and over, with noise, until there are so many frames."""
    rng = np.random.default_rng(0)
    made_by = archive.contents.encoder
    count = turn = 0
    while count < wanted:
        for segment in archive.segments:
            for number, file in segment.kept_files():
                recording = segment.recording(number)
                if count >= wanted or not len(recording.frames):
                    continue
                frames = noisy(restore(recording.frames, recording.scales), rng)
                numbers, scales = quantize(frames)
                begins = np.repeat(
                    np.cumsum(recording.sections[:, 1]) - recording.sections[:, 1], recording.sections[:, 1]
                )
                norms = measure_norms(numbers, scales, begins, grid(made_by.hop_s), made_by.parts)
                name = replace(file, path=f"{file.path}-{turn}")
                yield replace(recording, file=name, frames=numbers, scales=scales, norms=norms)
                count += len(frames)
        turn += 1


def noisy(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frames with noise, a tenth as strong as they are."""
    strength = NOISE * np.linalg.norm(frames, axis=1, keepdims=True) / np.sqrt(frames.shape[1])
    return (frames + strength * rng.standard_normal(frames.shape, np.float32)).astype(np.float32)


def measure(place: Path, count: int, learn_s: float) -> Searching:
    """Search an archive for stretches of its own sound, with noise."""
    archive = open_archive(place)
    made_by = archive.contents.encoder
    rng = np.random.default_rng(1)
    queries = list(draw_queries(archive, count + 1, rng))
    exact_s, fast_s, recall = [], [], []
    for query in queries:
        begun = time.process_time()
        exact = search(archive, query, exact=True)
        middle = time.process_time()
        fast = {(hit.file, hit.start_s) for hit in search(archive, query, exact=False)}
        exact_s.append(middle - begun)
        fast_s.append(time.process_time() - middle)
        recall.append(np.mean([(hit.file, hit.start_s) in fast for hit in exact]))
    neighbors = sum(file.stat().st_size for file in place.rglob(NEIGHBOURS))
    neighbors += sum(file.stat().st_size for file in place.glob("codebook-*"))
    return Searching(
        archive.hours,
        size_of(place) - neighbors,
        neighbors,
        # The first query reads the index from the disk.
        statistics.median(exact_s[1:]),
        statistics.median(fast_s[1:]),
        float(np.mean(recall)),
        learn_s,
        command_s(place, made_by.name),
    )


def draw_queries(archive: Archive, count: int, rng: np.random.Generator) -> Iterator[Query]:
    """Stretches of the archive as long as words, with noise."""
    made_by = archive.contents.encoder
    for _ in range(count):
        segment = archive.segments[int(rng.integers(len(archive.segments)))]
        length = round(rng.uniform(*LENGTHS_S) / made_by.hop_s)
        (long,) = np.nonzero(segment.sections[:, 2] > length)
        section = int(rng.choice(long))
        start = int(segment.offsets[section] + rng.integers(segment.sections[section, 2] - length))
        total = noisy(segment.restore(start, start + length), rng).sum(axis=0)
        yield Query("word", total / np.linalg.norm(total), length * made_by.hop_s, made_by.fingerprint)


def command_s(place: Path, encoder: str) -> float:
    """Seconds of the processor that a whole `earmark search` takes, imports and all; the second of two."""
    from earmark import demo

    command = [sys.executable, "-m", "earmark", "search", str(demo.take_files()[0]), "--index", str(place), "--json"]
    for _ in range(2):
        begun = os.times()
        subprocess.run([*command, "--encoder", encoder], check=True, capture_output=True)
        ended = os.times()
    return ended.children_user + ended.children_system - begun.children_user - begun.children_system


def size_of(place: Path) -> int:
    """Bytes of the files of an index."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def render(indexing: Indexing, found: Sequence[Searching], options: argparse.Namespace) -> Iterator[str]:
    """The tables as lines of Markdown."""
    settings = IndexSettings()
    yield "# What search costs"
    yield ""
    yield f"Made by `python benchmarks/search.py {options.corpus.name} --minutes {options.minutes:g} --hours " + (
        " ".join(f"{hours:g}" for hours in options.hours)
        + f" --queries {options.queries}`, encoder {options.encoder}; "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.0f} at the end."
    )
    yield ""
    yield "| indexing | |"
    yield "|---|---:|"
    yield f"| sound | {indexing.sound_h:.2f} h, of which {indexing.sections_h:.2f} h in sections |"
    sound_s = 3600 * indexing.sound_h
    yield f"| speed by the clock, {options.threads} thread(s) | {sound_s / indexing.wall_s:.0f} × real time |"
    yield f"| speed by seconds of one processor | {sound_s / indexing.processor_s:.0f} × real time |"
    yield f"| bytes an hour of sections | {indexing.size / indexing.sections_h / 1e6:.1f} MB |"
    yield f"| bytes an hour of sound | {indexing.size / indexing.sound_h / 1e6:.1f} MB |"
    yield ""
    yield (
        "| hours of sections | index without FAISS | FAISS | all windows compared | through FAISS "
        "| of the ten best, found through FAISS | making FAISS's part | whole command |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for row in found:
        yield (
            f"| {row.hours:.3g} | {row.stored / 1e6:.0f} MB ({row.stored / row.hours / 1e6:.1f} an hour) "
            f"| {row.neighbors / 1e6:.0f} MB ({row.neighbors / row.hours / 1e6:.1f} an hour) "
            f"| {1000 * row.exact_s:.0f} ms | {1000 * row.fast_s:.0f} ms | {100 * row.recall:.0f} % "
            f"| {row.learn_s:.0f} s | {row.command_s:.1f} s |"
        )
    yield ""
    yield (
        f"Seconds of the processor; medians of {options.queries} queries. An index is searched through FAISS from "
        f"{settings.neighbors_from_h:g} hours on, unless told otherwise."
    )
    yield ""
    yield "![Seconds a query and bytes, over hours](search.png)"


def draw(found: Sequence[Searching], path: Path) -> None:
    """Latency and size over hours."""
    hours = [row.hours for row in found]
    figure = empty_figure(9.0, 3.8)
    latency, size = figure.subplots(1, 2)
    for number, (name, key) in enumerate({"all windows": "exact_s", "through FAISS": "fast_s"}.items()):
        latency.plot(hours, [getattr(row, key) for row in found], "o-", color=line_style(number)[0], label=name)
    latency.set(xscale="log", yscale="log", xlabel="hours of sections", ylabel="seconds of the processor a query")
    for number, (name, key) in enumerate({"frames": "stored", "FAISS": "neighbors"}.items()):
        size.plot(hours, [getattr(row, key) / 1e6 for row in found], "o-", color=line_style(number)[0], label=name)
    size.set(xscale="log", yscale="log", xlabel="hours of sections", ylabel="MB")
    for axes in (latency, size):
        axes.grid(color="0.9", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
    save(figure, path)


def _written(place: Path, recordings: Sequence[Embedded], number: int) -> SegmentEntry:
    name = f"{number + 1:06d}"
    write_segment(place / SEGMENTS / name, recordings)
    return SegmentEntry(name=name, files=len(recordings), frames=sum(len(one.frames) for one in recordings))


if __name__ == "__main__":
    main()
