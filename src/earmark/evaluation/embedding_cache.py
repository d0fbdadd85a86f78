"""Embeddings in a file: embedding recordings is the long part of judging an encoder, and is done once."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.errors import InputError, writing
from earmark.evaluation.embedders import CLIPS_AT_ONCE, EmbedBatch, Progress, Read, silent

Floats = NDArray[np.floating]
Key = Mapping[str, str | int | bool | None]
"""What the embeddings depend on: fingerprint, crops, seed and so on."""
Silence = Literal["refuse", "skip", "embed"]
"""What becomes of recordings of digital silence."""

SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class Embeddings:
    """Recordings and their embeddings.

    Attributes:
        paths: of the recordings, as the lists name them.
        vectors: shape (m, d).
        silent: recordings that hold nothing but zeros, and so have no embedding.
    """

    paths: tuple[str, ...]
    vectors: Floats
    silent: tuple[str, ...] = ()

    @property
    def by_path(self) -> dict[str, Floats]:
        """Vectors, shape (d,), by path."""
        return dict(zip(self.paths, self.vectors, strict=True))


@dataclass(frozen=True)
class _Kept:
    """What the file knows of a recording: the vector, None of silence; who speaks; the hash of the recording."""

    vector: Floats | None
    speaker: str
    file: str


def embed_into(
    file: Path,
    places: Mapping[str, Path],
    embed_batch: EmbedBatch,
    *,
    key: Key,
    speakers: Mapping[str, str] | None = None,
    silence: Silence = "refuse",
    refuse_others: bool = False,
    progress: Progress = silent,
    read: Read = audio.read,
    at_once: int = CLIPS_AT_ONCE,
    save_every_s: float = SAVE_EVERY_S,
) -> Embeddings:
    """Embed recordings into a file; those that it holds already, the same under the same key, are not embedded again.

    Args:
        file: an .npz with the arrays `paths`, `speakers`, `vectors` (m, d), `silent` and `key` (JSON), and `files`:
            hashes that tell files from others of the same path, in another folder or of another time. These
            recordings come first and in this order, and behind them what it holds of others.
        places: where each recording lies, by the path that the lists name it by.
        embed_batch: waves to vectors, shape (m, d).
        key: what the embeddings depend on.
        speakers: who speaks, by path; kept in the file for its readers.
        silence: refuse recordings of digital silence, leave them out, or embed them like any other.
        refuse_others: a file that holds anything else, or embeddings under another key, is an error; else it is
            written anew.
        progress: told how many recordings are done, and after each batch again.
        read: gives the wave of a file.
        at_once: recordings held and embedded together, at most.
        save_every_s: how often the file is written meanwhile.

    Returns:
        Embeddings in the order of `places`.

    Raises:
        InputError: a recording that cannot be read, is silent, or whose embedding is zero or not finite; or a file of
            other content.
        EarmarkError: the file cannot be written, or the disk is full.
    """
    kept = _read(file, key, refuse_others=refuse_others)
    files = {path: _file_hash(place) for path, place in places.items()}
    others = {path: one for path, one in kept.items() if path not in places}
    known = {path: kept[path].vector for path in places if path in kept and kept[path].file == files[path]}
    if silence == "embed":
        known = {path: vector for path, vector in known.items() if vector is not None}
    missing = [path for path in places if path not in known]
    saved = time.monotonic()

    def save() -> None:
        names = speakers or {}
        these = {path: _Kept(known[path], names.get(path, ""), files[path]) for path in places if path in known}
        _write(file, key, these | others)

    progress(len(known), len(places))
    try:
        for start in range(0, len(missing), at_once):
            batch = {path: read(places[path]) for path in missing[start : start + at_once]}
            if silence != "embed":
                known |= {path: None for path, wave in batch.items() if not wave.any()}
                _check_silent(known, places, silence)
            heard = {path: wave for path, wave in batch.items() if path not in known}
            rows = np.asarray(embed_batch(list(heard.values()))) if heard else np.empty((0, 1))
            if rows.ndim != 2 or len(rows) != len(heard):
                raise InputError(
                    f"{len(heard)} waves gave embeddings of shape {rows.shape}; expected ({len(heard)}, d)"
                )
            for path, row in zip(heard, rows, strict=True):
                known[path] = _checked(row, places[path], may_be_zero=silence == "embed")
            if time.monotonic() - saved > save_every_s:
                save()
                saved = time.monotonic()
            progress(len(known), len(places))
    finally:
        save()
    _check_silent(known, places, silence)
    found = {path: vector for path in places if (vector := known[path]) is not None}
    if not found:
        raise InputError(f"{len(places)} recordings, and all of them are silent; are these the right ones?")
    return Embeddings(tuple(found), np.stack(list(found.values())), tuple(path for path in places if path not in found))


def _check_silent(known: Mapping[str, Floats | None], places: Mapping[str, Path], silence: Silence) -> None:
    mute = [path for path, vector in known.items() if vector is None]
    if mute and silence == "refuse":
        raise InputError(
            f"{places[min(mute)]}: nothing but digital silence, and nobody speaks in it; take it off the list, or leave"
            " out such recordings with --skip-missing"
        )


def _checked(row: Floats, place: Path, *, may_be_zero: bool) -> Floats:
    is_finite = np.isfinite(row).all()
    if not is_finite or not (row.any() or may_be_zero):
        wrong = "zero" if is_finite else "not finite"
        raise InputError(
            f"{place}: its embedding is {wrong}, which has no direction; listen to it, or check the encoder"
        )
    return row


def _file_hash(place: Path) -> str:
    """Tells a recording from every other, and from what lies there when it is recorded anew."""
    stat = place.stat() if place.is_file() else None
    return hashlib.sha256(repr((str(place.resolve()), stat and (stat.st_size, stat.st_mtime_ns))).encode()).hexdigest()


def _read(file: Path, key: Key, *, refuse_others: bool) -> dict[str, _Kept]:
    """What a file knows under this key; nothing of any others."""
    if not file.exists():
        return {}
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            is_same = json.loads(str(stored["key"])) == dict(key)
            names, mute, files = (stored[array].tolist() for array in ("paths", "silent", "files"))
            rows, speakers = (
                [*stored["vectors"], *[None] * len(mute)],
                [*stored["speakers"].tolist(), *[""] * len(mute)],
            )
            kept = zip([*names, *mute], rows, speakers, files, strict=True)
            found = {name: _Kept(row, speaker, hashed) for name, row, speaker, hashed in kept}
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile):  # cut off, or another program's
        if refuse_others:
            raise InputError(f"{file}: no file of embeddings; name another, or delete it") from None
        return {}
    if not is_same and refuse_others:
        raise InputError(f"{file}: embeddings of another encoder, or of other parts of recordings; name another file")
    return found if is_same else {}


def _write(file: Path, key: Key, kept: Mapping[str, _Kept]) -> None:
    heard = {path: one for path, one in kept.items() if one.vector is not None}
    mute = sorted(kept.keys() - heard.keys())
    vectors = [one.vector for one in heard.values() if one.vector is not None]
    partial = file.with_name(f".{file.stem}.partial.npz")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.savez(
                partial,
                paths=np.array(list(heard), np.str_),
                speakers=np.array([one.speaker for one in heard.values()], np.str_),
                vectors=np.stack(vectors) if vectors else np.empty((0, 0), np.float32),
                silent=np.array(mute, np.str_),
                files=np.array([kept[path].file for path in (*heard, *mute)], np.str_),
                key=np.array(json.dumps(dict(key))),
            )
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
