"""A cache file for the embeddings of recordings, which several evaluations of one encoder share."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.core.vector_cache import VectorCache
from earmark.evaluation.embedders import BATCH_CLIPS, EmbedBatch, Read, embedded_batch

Floats = NDArray[np.floating]
Key = Mapping[str, str | int | bool | None]
"""What embeddings depend on: fingerprint, crops, seed and so on."""
Silence = Literal["refuse", "skip", "embed"]
"""What to do with recordings of digital silence."""

SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of recordings.

    Attributes:
        paths: paths of the recordings, as in the lists.
        vectors: shape (m, d).
        silent: paths of skipped recordings of digital silence.
    """

    paths: tuple[str, ...]
    vectors: Floats
    silent: tuple[str, ...] = ()

    @property
    def by_path(self) -> dict[str, Floats]:
        """The embedding of each recording, shape (d,), by its path."""
        return dict(zip(self.paths, self.vectors, strict=True))


def embed_into(
    cache: Path,
    files: Mapping[str, Path],
    embed_batch: EmbedBatch,
    *,
    key: Key,
    speakers: Mapping[str, str] | None = None,
    silence: Silence = "refuse",
    refuse_others: bool = False,
    progress: Progress = no_progress,
    read: Read = audio.read,
    batch_clips: int = BATCH_CLIPS,
    save_every_s: float = SAVE_EVERY_S,
) -> Embeddings:
    """Embed recordings and keep the embeddings in a file; a recording that is in the file is not embedded again.

    Args:
        cache: an .npz with the arrays `paths`, `speakers`, `vectors` (m, d), `silent`, `key` (JSON), and `files`:
            hashes of path, size and modification time of each recording. The recordings of this call come first, in
            the order of `files`, then those of earlier calls.
        files: file of each recording, by its path in the lists.
        embed_batch: embeds waveforms, shape (m, d).
        key: what the embeddings depend on; embeddings under another key are dropped.
        speakers: speaker by path, written to the file beside the embeddings.
        silence: refuse recordings of digital silence, skip them, or embed them like any other.
        refuse_others: raise `InputError` for a damaged cache or another key, instead of starting from scratch.
        progress: called after each batch.
        read: returns the waveform of a file.
        batch_clips: maximum number of recordings in a batch.
        save_every_s: seconds between two writes of the file.

    Returns:
        Embeddings in the order of `files`.

    Raises:
        InputError: a recording cannot be read, is silent, or its embedding is zero or not finite; or `refuse_others`
            refuses the cache.
        EarmarkError: the file cannot be written.
    """
    ids = {path: f"{_file_hash(file)} {path}" for path, file in files.items()}
    store = _Store(speakers or {})
    kept = VectorCache(
        cache, key, ids=store.ids, arrays=store.arrays, refuse_others=refuse_others, save_every_s=save_every_s
    )
    kept.vectors = _usable(kept.vectors, ids, silence)
    missing = [path for path in files if ids[path] not in kept.vectors]
    done = len(files) - len(missing)
    progress("embedding recordings", done, len(files))
    try:
        for start in range(0, len(missing), batch_clips):
            batch = {path: files[path] for path in missing[start : start + batch_clips]}
            for path, vector in _embed_batch(batch, read, embed_batch, silence):
                kept.add({ids[path]: vector})
            done += len(batch)
            progress("embedding recordings", done, len(files))
    finally:
        own = {one: kept.vectors[one] for one in ids.values() if one in kept.vectors}
        kept.vectors = {**own, **kept.vectors}
        kept.save()
    return _collect({path: kept.vectors[ids[path]] for path in files}, files, silence)


def _collect(vectors: Mapping[str, Floats | None], files: Mapping[str, Path], silence: Silence) -> Embeddings:
    """Make `Embeddings` of vectors by path, in their order; a vector of None marks a silent recording.

    Raises:
        InputError: a recording is silent and silence is refused, or all recordings are silent.
    """
    found = {path: vector for path, vector in vectors.items() if vector is not None}
    mute = [path for path in files if path not in found]
    _check_silent(mute, files, silence)
    if not found:
        raise InputError(
            f"all {len(files)} recordings are digital silence; check the list and the folder of its recordings"
        )
    return Embeddings(tuple(found), np.stack(list(found.values())), tuple(mute))


def _embed_batch(
    files: Mapping[str, Path], read: Read, embed_batch: EmbedBatch, silence: Silence
) -> Iterator[tuple[str, Floats | None]]:
    """Yield the path and the embedding of each recording; silent recordings come first, with None as their embedding.

    Raises:
        InputError: a recording is silent and silence is refused, or an embedding is zero or not finite.
    """
    waves = {path: read(file) for path, file in files.items()}
    mute = [path for path, wave in waves.items() if silence != "embed" and not wave.any()]
    for path in mute:
        yield path, None
    _check_silent(mute, files, silence)
    waves = {path: wave for path, wave in waves.items() if path not in mute}
    rows = embedded_batch(embed_batch, list(waves.values())) if waves else ()
    for path, row in zip(waves, rows, strict=True):
        _check(row, files[path], may_be_zero=silence == "embed")
        yield path, row


class _Store:
    """Converts the ids of recordings, `HASH PATH`, to the arrays of the cache file other than `vectors`, and back."""

    def __init__(self, speakers: Mapping[str, str]) -> None:
        self._speakers = dict(speakers)

    def ids(self, arrays: Mapping[str, NDArray[Any]]) -> list[str]:
        paths, silent, hashes = (arrays[name].tolist() for name in ("paths", "silent", "files"))
        self._speakers = dict(zip(paths, arrays["speakers"].tolist(), strict=True)) | self._speakers
        return [f"{file} {path}" for path, file in zip([*paths, *silent], hashes, strict=True)]

    def arrays(self, ids: Sequence[str], silent: Sequence[str]) -> dict[str, NDArray[Any]]:
        silent = sorted(silent, key=_path)
        paths = [*map(_path, ids)]
        return {
            "paths": np.array(paths, np.str_),
            "speakers": np.array([self._speakers.get(path, "") for path in paths], np.str_),
            "silent": np.array([*map(_path, silent)], np.str_),
            "files": np.array([one.split(" ", 1)[0] for one in (*ids, *silent)], np.str_),
        }


_path: Callable[[str], str] = lambda one: one.split(" ", 1)[1]  # noqa: E731


def _usable(vectors: Mapping[str, Floats | None], ids: Mapping[str, str], silence: Silence) -> dict[str, Floats | None]:
    """Return the cached vectors that are still valid, by id of the recording; a vector is None for a silent recording.

    Vectors of recordings that have changed since are dropped, and with `silence` "embed" those of silent recordings.
    `ids` are the present ids by path.
    """
    own = set(ids.values())
    return {
        one: vector
        for one, vector in vectors.items()
        if (one in own and (vector is not None or silence != "embed")) or _path(one) not in ids
    }


def _check_silent(mute: Sequence[str], files: Mapping[str, Path], silence: Silence) -> None:
    if mute and silence == "refuse":
        raise InputError(
            f"{files[min(mute)]}: the recording is digital silence; remove it from the list, or skip missing and"
            " silent recordings"
        )


def _check(row: Floats, file: Path, *, may_be_zero: bool) -> None:
    is_finite = np.isfinite(row).all()
    if not is_finite or not (row.any() or may_be_zero):
        wrong = "zero" if is_finite else "not finite"
        raise InputError(f"{file}: the embedding of this recording is {wrong}; check the recording and the encoder")


def _file_hash(file: Path) -> str:
    """Hash of a file's path, size and modification time."""
    stat = file.stat() if file.is_file() else None
    return hashlib.sha256(repr((str(file.resolve()), stat and (stat.st_size, stat.st_mtime_ns))).encode()).hexdigest()
