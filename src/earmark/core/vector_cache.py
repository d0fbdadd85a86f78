"""A cache of vectors in a file."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import read_arrays, write_arrays
from earmark.core.errors import InputError
from earmark.core.workspace import differences, plain

Floats = NDArray[np.floating]
Arrays = Mapping[str, NDArray[Any]]


class VectorCache:
    """Vectors by id in one .npz file, written while they are computed, so that interrupted work continues.

    The file has the arrays `vectors`, shape (m, d), `key`, and one or more arrays of ids.

        with VectorCache(file, {"fingerprint": encoder.fingerprint}) as cache:
            for name in cache.missing(names):
                cache.add({name: embed(name)})
        rows = np.stack([cache.vectors[name] for name in names])

    Attributes:
        vectors: shape (d,) by id, in the order of the file; None for an id that has no vector, such as a silent
            recording.

    Args:
        file: the .npz file. If it is damaged or has another key, the cache starts empty.
        key: what all vectors depend on, such as a fingerprint and settings: JSON values.
        ids: reads the ids from the file's arrays: first those of the m vectors, then those without a vector.
        arrays: makes the arrays of ids from these two lists; give `ids` and `arrays` if other programs read the file.
        refuse_others: raise `InputError` for a damaged file or another key, instead of starting empty.
        save_every_s: shortest time between two writes of `add`, in seconds.
    """

    def __init__(
        self,
        file: Path,
        key: Mapping[str, Any],
        *,
        ids: Callable[[Arrays], Iterable[str]] = lambda arrays: arrays["ids"].tolist(),
        arrays: Callable[[Sequence[str], Sequence[str]], Arrays] = lambda ids, empty: {
            "ids": np.array([*ids, *empty], np.str_)
        },
        refuse_others: bool = False,
        save_every_s: float = 60.0,
    ) -> None:
        self._file, self._key, self._ids, self._arrays = file, key, ids, arrays
        self._save_every_s, self._saved_s = save_every_s, time.monotonic()
        self.vectors: dict[str, Floats | None] = {}
        if file.exists():
            try:
                self.vectors = self._read()
            except InputError:
                if refuse_others:
                    raise

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Return the ids that the cache does not have, each once."""
        return [one for one in dict.fromkeys(ids) if one not in self.vectors]

    def add(self, vectors: Mapping[str, Floats | None]) -> None:
        """Add vectors, and write the file if `save_every_s` have passed since the last time."""
        self.vectors.update(vectors)
        if time.monotonic() - self._saved_s > self._save_every_s:
            self.save()

    def save(self) -> None:
        """Write all vectors to the file, atomically.

        Raises:
            EarmarkError: the file cannot be written.
        """
        found = {one: vector for one, vector in self.vectors.items() if vector is not None}
        vectors = np.stack([*found.values()]) if found else np.empty((0, 0), np.float32)
        named = self._arrays([*found], [one for one in self.vectors if one not in found])
        write_arrays(self._file, {**named, "vectors": vectors, "key": np.array(json.dumps(dict(self._key)))})
        self._saved_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.save()

    def _read(self) -> dict[str, Floats | None]:
        cure = "name another file, or delete this one"
        arrays = read_arrays(self._file, cure)
        try:
            found, vectors, ids = json.loads(str(arrays["key"])), arrays["vectors"], [*self._ids(arrays)]
            if len(ids) < len(vectors):
                raise ValueError
        except (KeyError, ValueError, TypeError):
            raise InputError(f"{self._file}: not a file of cached vectors; {cure}") from None
        if different := [*differences(found, plain(dict(self._key)))]:
            raise InputError(
                f"{self._file}: its vectors were made with other settings: {', '.join(different[:3])}; {cure}"
            )
        return {one: vectors[row] if row < len(vectors) else None for row, one in enumerate(ids)}
