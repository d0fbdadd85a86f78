"""Stored embeddings of segments, in shards that are complete or absent; they may be larger than memory."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import read_array, write_array
from earmark.core.errors import InputError
from earmark.core.files import atomic_folder, read_json, write_json
from earmark.core.progress import Progress, no_progress
from earmark.core.vectors import unit
from earmark.core.workspace import Workspace
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.segments import read_clips
from earmark.data.manifest import Clip
from earmark.evaluation.segment_embeddings import SegmentEmbedder, embed_stream
from earmark.training.mining.segment_table import Ints, Names, Rows
from earmark.training.mining.settings import MiningSettings

Floats = NDArray[np.floating]

SHARD_ROWS = 16_384
"""Minimum number of segments in a shard; all segments of a recording are in one shard."""


@dataclass(frozen=True, eq=False)
class Shards:
    """Stored embeddings of the segments of a list, in the order of the list.

    Attributes:
        rows: the segments, shape (n,), of type `ROW`.
        names: names of the numbers in `rows`.
        folder: folder that the paths of the recordings start from.
        left_out: number of segments that were too long.
        not_drawn: number of segments that the sample left out.
        files: files with the vectors, one per shard.
        stamp: values that the embeddings depend on.
    """

    rows: Rows
    names: Names
    folder: Path
    left_out: int
    not_drawn: int
    files: tuple[Path, ...]
    stamp: Mapping[str, Any]

    def take(self, wanted: Ints) -> Floats:
        """Read the stored unit vectors of the segments with the numbers `wanted`, shape (m, d)."""
        vectors = [read_array(file, _cure(file.parent.parent)) for file in self.files]
        starts = np.cumsum([0, *map(len, vectors)])
        which = np.searchsorted(starts, wanted, side="right") - 1
        found = np.empty((len(wanted), vectors[0].shape[1]), np.float32)
        for number in np.unique(which):
            is_here = which == number
            found[is_here] = vectors[number][wanted[is_here] - starts[number]]
        return found


def store_embeddings(
    source: Path,
    embedder: SegmentEmbedder,
    folder: Path,
    settings: MiningSettings,
    *,
    audio: Path | None = None,
    split: str | None = None,
    progress: Progress = no_progress,
    shard_rows: int = SHARD_ROWS,
) -> Shards:
    """Embed the segments of a list or manifest, and store the embeddings in files (shards); existing shards are kept.

    The list is read twice, first to count and check its lines, so that a broken line is an error before any work.
    Vectors are scaled to unit length and stored as float16, which changes a cosine by about 1e-5.

    Args:
        source: a list of segments, or a manifest.
        embedder: embeds the segments.
        folder: folder of the shards; it is created.
        settings: maximum number and length of segments.
        audio: folder that the paths of a list start from.
        split: split of a manifest; None for all.
        progress: counts segments.
        shard_rows: minimum number of segments in a shard.

    Raises:
        InputError: see `read_clips` and `embed_stream`; the folder has embeddings of another list, corpus or encoder;
            or no segment is left.
    """
    clips_of = partial(_timed_clips, source, audio, split)
    corpus = clips_of()[1]
    stamp = {
        "encoder": embedder.name,
        "fingerprint": embedder.fingerprint,
        "list": _digest(source),
        "corpus": str(corpus.folder.resolve()),
        "split": split,
        **settings.model_dump(include={"most_segments", "longest_s", "seed"}),
    }
    work = Workspace(folder, stamp)
    # Without a shard, the folder has no results to protect, for example after an error in the list.
    work.open(restart=not any(folder.glob("shard-*")))

    def embed() -> dict[str, int]:
        short, long = _count(clips_of()[0], settings.longest_s)
        if not short:
            raise InputError(f"{source}: all segments are longer than {settings.longest_s:g} s; list shorter segments")
        count = min(short, settings.most_segments)
        sample = _sample(clips_of()[0], short, settings)
        _embed_shards(sample, count, corpus, embedder, folder, progress, shard_rows)
        return {"left_out": long, "not_drawn": short - count}

    dropped = work.result("done", embed)
    return replace(_open(folder, corpus.folder, stamp), **dropped)


def _open(folder: Path, corpus: Path, stamp: Mapping[str, Any]) -> Shards:
    shards = sorted(folder.glob("shard-*"))
    names, rows = Names(), []
    for shard in shards:
        names.add(read_json(shard / "names.json", _cure(folder)))
        rows.append(np.array(read_array(shard / "rows.npy", _cure(folder))))
    joined = np.concatenate(rows) if rows else Names().rows([])
    return Shards(joined, names, corpus, 0, 0, tuple(shard / "vectors.npy" for shard in shards), stamp)


def _embed_shards(
    clips: Iterator[Clip],
    total: int,
    recordings: AudioFolder,
    embedder: SegmentEmbedder,
    folder: Path,
    progress: Progress,
    shard_rows: int,
) -> None:
    """Embed the segments `clips` that are not stored yet, and write them to new shards of at least `shard_rows` rows.

    Args:
        clips: all segments, grouped by recording.
        total: number of all segments, for the progress.
        recordings: folder of the recordings.
        embedder: embeds the segments.
        folder: folder of the shards.
        progress: counts segments.
        shard_rows: minimum number of segments in a shard.
    """
    known = _open(folder, recordings.folder, {})
    names, number, done = known.names, len(known.files), len(known.rows)
    # A shard ends at the end of a recording, so that the remaining clips begin with a new recording.
    for _ in islice(clips, done):
        pass
    held: list[tuple[Sequence[Clip], Floats]] = []

    def write() -> None:
        nonlocal held, number
        before = names.counts()
        rows = names.rows([clip for some, _ in held for clip in some])
        vectors = np.concatenate([unit(np.asarray(vectors, np.float32)) for _, vectors in held])
        with atomic_folder(folder / f"shard-{number:06}") as shard:
            write_array(shard / "vectors.npy", vectors.astype(np.float16))
            write_array(shard / "rows.npy", rows)
            write_json(shard / "names.json", names.since(before))
        held, number = [], number + 1

    for some, vectors in embed_stream(clips, recordings, embedder):
        held.append((some, vectors))
        done += len(some)
        progress("embedding", done, total)
        if sum(len(rows) for _, rows in held) >= shard_rows:
            write()
    if held:
        write()


def _timed_clips(source: Path, audio: Path | None, split: str | None) -> tuple[Iterator[Clip], AudioFolder]:
    """Read the segments of a list or manifest without its noise and room impulse responses, and find their recordings.

    A segment without an end gets the end of its recording.
    """
    clips, recordings = read_clips(source, audio, split=split)

    def timed() -> Iterator[Clip]:
        for clip in clips:
            if clip.split not in {"noise", "rir"}:
                yield clip if clip.end_s is not None else replace(clip, end_s=recordings.end_s(clip.path))

    return timed(), recordings


def _count(clips: Iterable[Clip], longest_s: float) -> tuple[int, int]:
    """Count the segments of at most `longest_s` seconds, and the longer ones."""
    counts = [0, 0]
    for clip in clips:
        counts[_is_long(clip, longest_s)] += 1
    return counts[0], counts[1]


def _sample(clips: Iterable[Clip], count: int, settings: MiningSettings) -> Iterator[Clip]:
    """Yield the segments of at most `settings.longest_s` seconds, or a random sample of `settings.most_segments`.

    `count` is the number of segments of at most this length.
    """
    short = (clip for clip in clips if not _is_long(clip, settings.longest_s))
    if count <= settings.most_segments:
        yield from short
        return
    is_drawn = np.zeros(count, np.bool_)
    is_drawn[np.random.default_rng(settings.seed).choice(count, settings.most_segments, replace=False)] = True
    for clip, wanted in zip(short, is_drawn, strict=True):
        if wanted:
            yield clip


def _is_long(clip: Clip, longest_s: float) -> bool:
    return (clip.end_s or 0.0) - clip.start_s > longest_s + 1e-6


def _digest(source: Path) -> str:
    if not source.is_file():
        raise InputError(f"{source}: no such file; name a list of segments or a manifest")
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _cure(folder: Path) -> str:
    return f"delete {folder} and mine again"
