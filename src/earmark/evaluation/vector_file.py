"""A file of vectors by path: embedding a corpus is the long part of judging an encoder, and is done once."""

from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.errors import InputError
from earmark.evaluation.embedders import EmbedBatch, Progress, Read, embed_clips, silent

Floats = NDArray[np.floating]

_BETWEEN_SAVES = 1024


def embed_once(
    file: Path,
    maker: str,
    paths: Iterable[str],
    folder: Path,
    embed_batch: EmbedBatch,
    *,
    progress: Progress = silent,
    read: Read = audio.read,
) -> dict[str, Floats]:
    """The vectors of recordings: those that the file has, and the others, which are embedded and added to it.

    The file is written again after every 1,024 recordings, so that work which was cut off goes on from there.

    Args:
        file: an .npz, made where there is none.
        maker: what made the vectors: all that changes them, such as a fingerprint.
        paths: relative to `folder`.
        folder: of the corpus.
        embed_batch: waves to vectors, shape (m, d).
        progress: told how many of all paths are done.
        read: gives the wave of a file.

    Raises:
        InputError: as `embed_clips`; or the file holds something else, or another's vectors.
    """
    paths = list(dict.fromkeys(paths))
    known = _read(file, maker)
    missing = [path for path in paths if path not in known]
    for start in range(0, len(missing), _BETWEEN_SAVES):
        done = len(paths) - len(missing) + start
        some = missing[start : start + _BETWEEN_SAVES]

        def told(count: int, _: int, done: int = done) -> None:
            progress(done + count, len(paths))

        known |= embed_clips(some, folder, embed_batch, progress=told, read=read)
        _write(file, maker, known)
    progress(len(paths), len(paths))
    return {path: known[path] for path in paths}


def _read(file: Path, maker: str) -> dict[str, Floats]:
    if not file.exists():
        return {}
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            made_by, names, rows = (arrays[key] for key in ("maker", "paths", "vectors"))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        raise InputError(f"{file}: no file of vectors; name another") from None
    if str(made_by) != maker:
        raise InputError(f"{file}: vectors of another encoder, or of other parts of the clips; name another file")
    return dict(zip(names.tolist(), rows, strict=True))


def _write(file: Path, maker: str, vectors: dict[str, Floats]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("wb") as out:
        np.savez(out, maker=maker, paths=np.array(list(vectors)), vectors=np.stack(list(vectors.values())))
    partial.replace(file)
