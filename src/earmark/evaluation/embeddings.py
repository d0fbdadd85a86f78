"""Embeddings in a file, so that an evaluation that was stopped goes on, and others can judge them too."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.errors import InputError
from earmark.evaluation.embedders import CLIPS_AT_ONCE, Embedder, Progress, silent

Floats = NDArray[np.floating]
Key = Mapping[str, str | int | bool | None]
"""What the embeddings depend on: fingerprint, crops, seed and so on."""

SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class Embedded:
    """Recordings and their embeddings.

    Attributes:
        paths: of the recordings, as the lists name them.
        vectors: shape (m, d).
        silent: recordings that hold nothing but zeros, and so have no embedding.
    """

    paths: tuple[str, ...]
    vectors: Floats
    silent: tuple[str, ...] = ()


def embed_into(
    file: Path,
    paths: Sequence[str],
    embedder: Embedder,
    *,
    key: Key,
    speakers: Sequence[str],
    locate: Callable[[str], Path],
    skip_silent: bool = False,
    progress: Progress = silent,
    at_once: int = CLIPS_AT_ONCE,
    save_every_s: float = SAVE_EVERY_S,
) -> Embedded:
    """Embed recordings into a file; what it holds already of the same files under the same key stays.

    Args:
        file: `embeddings.npz` with the arrays `paths`, `speakers`, `vectors` (m, d), `silent` and `key` (JSON), and
            `files`: hashes that tell files from others of the same path, in another folder or of another time.
        paths: of the recordings, as the lists name them, each once.
        embedder: whose embeddings.
        key: what the embeddings depend on.
        speakers: one per path.
        locate: where a recording lies.
        skip_silent: leave out recordings of digital silence; else they are an error.
        progress: told after each batch.
        at_once: recordings held and embedded together, at most.
        save_every_s: how often the file is written meanwhile.

    Returns:
        Embeddings in the order of `paths`.

    Raises:
        InputError: a recording that cannot be read, is silent, or whose embedding is zero or not finite.
    """
    files = {path: _file_hash(locate(path)) for path in paths}
    known, mute = _read(file, key, files)
    speaker_of = dict(zip(paths, speakers, strict=True))
    open_paths = [path for path in paths if path not in known and path not in mute]
    saved = time.monotonic()

    def save() -> None:
        have = [path for path in paths if path in known]
        _write(file, key, {path: known[path] for path in have}, [speaker_of[path] for path in have], mute, files)

    try:
        for start in range(0, len(open_paths), at_once):
            batch = {path: audio.read(locate(path)) for path in open_paths[start : start + at_once]}
            mute |= {path for path, wave in batch.items() if not wave.any()}
            _check_silent(mute, locate, skip=skip_silent)
            heard = {path: wave for path, wave in batch.items() if path not in mute}
            rows = np.asarray(embedder.embed_batch(list(heard.values()))) if heard else np.empty((0, 1))
            if rows.ndim != 2 or len(rows) != len(heard):
                raise InputError(
                    f"{len(heard)} waves gave embeddings of shape {rows.shape}; expected ({len(heard)}, d)"
                )
            for path, row in zip(heard, rows, strict=True):
                known[path] = _checked(row, locate(path))
            if time.monotonic() - saved > save_every_s:
                save()
                saved = time.monotonic()
            progress(len(paths) - len(open_paths) + start + len(batch), len(paths))
    finally:
        save()
    _check_silent(mute, locate, skip=skip_silent)
    kept = tuple(path for path in paths if path in known)
    if not kept:
        raise InputError(f"{len(paths)} recordings, and all of them are silent; are these the right ones?")
    return Embedded(kept, np.stack([known[path] for path in kept]), tuple(path for path in paths if path in mute))


def _check_silent(mute: set[str], locate: Callable[[str], Path], *, skip: bool) -> None:
    if mute and not skip:
        raise InputError(
            f"{locate(min(mute))}: nothing but digital silence, and nobody speaks in it; take it off the list, or leave"
            " out such recordings with --skip-missing"
        )


def _checked(row: Floats, place: Path) -> Floats:
    if not np.isfinite(row).all() or not row.any():
        wrong = "zero" if np.isfinite(row).all() else "not finite"
        raise InputError(
            f"{place}: its embedding is {wrong}, which has no direction; listen to it, or check the encoder"
        )
    return row


def _file_hash(place: Path) -> str:
    """Tells a recording from every other, and from what lies there when it is recorded anew."""
    stat = place.stat() if place.is_file() else None
    return hashlib.sha256(repr((str(place.resolve()), stat and (stat.st_size, stat.st_mtime_ns))).encode()).hexdigest()


def _read(file: Path, key: Key, files: Mapping[str, str]) -> tuple[dict[str, Floats], set[str]]:
    """Vectors by path and silent paths, of these files under this key; nothing of any others."""
    if not file.is_file():
        return {}, set()
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            if json.loads(str(stored["key"])) != dict(key):
                return {}, set()
            names, mute = stored["paths"].tolist(), stored["silent"].tolist()
            same = {
                name
                for name, kept in zip([*names, *mute], stored["files"].tolist(), strict=True)
                if files.get(name) == kept
            }
            rows = zip(names, stored["vectors"], strict=True)
            return {name: row for name, row in rows if name in same}, same.intersection(mute)
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile):  # cut off, or another program's
        return {}, set()


def _write(
    file: Path,
    key: Key,
    vectors: Mapping[str, Floats],
    speakers: Sequence[str],
    mute: set[str],
    files: Mapping[str, str],
) -> None:
    partial = file.with_name(f".{file.stem}.partial.npz")
    np.savez(
        partial,
        paths=np.array(list(vectors), np.str_),
        speakers=np.array(speakers, np.str_),
        vectors=np.stack(list(vectors.values())) if vectors else np.empty((0, 0), np.float32),
        silent=np.array(sorted(mute), np.str_),
        files=np.array([files[path] for path in (*vectors, *sorted(mute))], np.str_),
        key=np.array(json.dumps(dict(key))),
    )
    partial.replace(file)
