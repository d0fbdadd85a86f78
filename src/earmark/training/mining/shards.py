"""Embeddings of segments on disk, in shards that appear when they are complete: lists may be larger than memory."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import write_array
from earmark.core.errors import InputError
from earmark.core.files import atomic_folder, write_json
from earmark.core.progress import Progress, no_progress
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.segments import read_clips
from earmark.data.manifest import Clip
from earmark.evaluation.segment_embeddings import SegmentEmbedder, embed_stream
from earmark.training.mining.folders import STAMP, claim, map_array, read_json
from earmark.training.mining.segment_table import Ints, Names, Rows
from earmark.training.mining.settings import MiningSettings

Floats = NDArray[np.floating]

SHARD_ROWS = 16_384
"""Segments in a shard, at least; those of a recording stay together."""


@dataclass(frozen=True, eq=False)
class Shards:
    """Stored embeddings, in the order of the list.

    Attributes:
        rows: shape (n,), of type `ROW`.
        names: what their numbers stand for.
        folder: that the paths start from.
        left_out: segments that were too long.
        not_drawn: segments that chance left out.
        files: the vectors, a file a shard.
        stamp: what made them.
    """

    rows: Rows
    names: Names
    folder: Path
    left_out: int
    not_drawn: int
    files: tuple[Path, ...]
    stamp: Mapping[str, Any]

    def take(self, wanted: Ints) -> Floats:
        """Unit vectors of some segments, shape (m, d), in the order asked for."""
        vectors = [map_array(file) for file in self.files]
        edges = np.cumsum([0, *map(len, vectors)])
        which = np.searchsorted(edges, wanted, side="right") - 1
        found = np.empty((len(wanted), vectors[0].shape[1]), np.float32)
        for number in np.unique(which):
            is_here = which == number
            found[is_here] = vectors[number][wanted[is_here] - edges[number]]
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
) -> Shards:
    """Embed the segments of a list or manifest; shards that are there are not made again.

    The list is read twice: first to count and check its lines, so that a broken one is known before the work.
    Vectors are made unit length, and kept as float16: that moves a cosine by 1e-5.

    Args:
        source: a list of segments, or a manifest.
        embedder: to embed them with.
        folder: where the shards are kept, made where there is none.
        settings: how many segments, and how long.
        audio: folder that the paths of a list start from.
        split: of a manifest; None for all.
        progress: called with the number of finished segments.

    Raises:
        InputError: as `read_clips` and `embed_stream`; the folder holds embeddings of another list, corpus or encoder;
            or no segment is left.
    """
    clips_of = partial(_timed, source, audio, split)
    stamp = {
        "encoder": embedder.name,
        "fingerprint": embedder.fingerprint,
        "list": _digest(source),
        "corpus": str(clips_of()[1].folder.resolve()),
        "split": split,
        **settings.model_dump(include={"most_segments", "longest_s", "seed"}),
    }
    # A run that ended before its first shard, such as at a broken line, holds nothing that would have to be kept.
    if not any(folder.glob("shard-*")):
        (folder / STAMP).unlink(missing_ok=True)
    claim(folder, stamp)
    if not (folder / "done.json").exists():
        short, long = _count(clips_of()[0], settings.longest_s)
        if not short:
            raise InputError(f"{source}: no segment of at most {settings.longest_s:g} s; cut longer ones into segments")
        drawn = min(short, settings.most_segments)
        _embed(_drawn(clips_of()[0], short, settings), drawn, clips_of()[1], embedder, folder, progress)
        write_json(folder / "done.json", {"left_out": long, "not_drawn": short - drawn})
    done = read_json(folder / "done.json")
    return replace(_open(folder, clips_of()[1].folder), left_out=done["left_out"], not_drawn=done["not_drawn"])


def _open(folder: Path, corpus: Path) -> Shards:
    shards = sorted(folder.glob("shard-*"))
    names, rows = Names(), []
    for shard in shards:
        names.add(read_json(shard / "names.json"))
        rows.append(np.array(map_array(shard / "rows.npy")))
    every = np.concatenate(rows) if rows else Names().rows([])
    return Shards(
        every, names, corpus, 0, 0, tuple(shard / "vectors.npy" for shard in shards), read_json(folder / STAMP)
    )


def _embed(
    clips: Iterator[Clip],
    total: int,
    recordings: AudioFolder,
    embedder: SegmentEmbedder,
    folder: Path,
    progress: Progress,
) -> None:
    there = _open(folder, recordings.folder)
    names, number, done = there.names, len(there.files), len(there.rows)
    # Shards end where recordings end, so that none is heard in parts.
    for _ in islice(clips, done):
        pass
    held: list[tuple[Sequence[Clip], Floats]] = []

    def write() -> None:
        nonlocal held, number
        before = names.counts()
        rows = names.rows([clip for some, _ in held for clip in some])
        vectors = np.concatenate([_unit(vectors) for _, vectors in held])
        with atomic_folder(folder / f"shard-{number:06}") as shard:
            write_array(shard / "vectors.npy", vectors.astype(np.float16))
            write_array(shard / "rows.npy", rows)
            write_json(shard / "names.json", names.since(before))
        held, number = [], number + 1

    for some, vectors in embed_stream(clips, recordings, embedder):
        held.append((some, vectors))
        done += len(some)
        progress("embedding", done, total)
        if sum(len(rows) for _, rows in held) >= SHARD_ROWS:
            write()
    if held:
        write()


def _timed(source: Path, audio: Path | None, split: str | None) -> tuple[Iterator[Clip], AudioFolder]:
    """Clips that all have an end, but none of noise, and where their recordings lie."""
    clips, recordings = read_clips(source, audio, split=split)

    def timed() -> Iterator[Clip]:
        for clip in clips:
            if clip.split not in {"noise", "rir"}:
                yield clip if clip.end_s is not None else replace(clip, end_s=recordings.end_s(clip.path))

    return timed(), recordings


def _count(clips: Iterable[Clip], longest_s: float) -> tuple[int, int]:
    """How many segments are short enough, and how many are not."""
    counts = [0, 0]
    for clip in clips:
        counts[_is_long(clip, longest_s)] += 1
    return counts[0], counts[1]


def _drawn(clips: Iterable[Clip], count: int, settings: MiningSettings) -> Iterator[Clip]:
    """Segments that are short enough; of too many, some."""
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


def _unit(vectors: Floats) -> Floats:
    rows = np.asarray(vectors, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _digest(source: Path) -> str:
    if not source.is_file():
        raise InputError(f"{source}: no such list or manifest")
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
