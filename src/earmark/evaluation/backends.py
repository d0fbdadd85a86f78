"""From embeddings to scores: each back-end says how alike a clip and the takes of a keyword are."""

from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from earmark.errors import InputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Backend = Literal["prototype", "best-take"]


def score(queries: Floats, takes: Floats, owners: Ints, *, backend: Backend = "prototype") -> Floats:
    """Score every query against every keyword.

    Args:
        queries: shape (n, d).
        takes: shape (m, d), the enrolled takes of all keywords.
        owners: shape (m,), which keyword each take belongs to: 0 … k-1, each at least once.
        backend: `prototype` or `best-take`.

    Returns:
        Cosines in [-1, 1], shape (n, k).

    Raises:
        InputError: `owners` does not fit `takes` or leaves out a keyword.
    """
    match backend:
        case "prototype":
            return prototype(queries, takes, owners)
        case "best-take":
            return best_take(queries, takes, owners)
        case _:
            assert_never(backend)


def prototype(queries: Floats, takes: Floats, owners: Ints) -> Floats:
    """Cosine to the prototype: the mean of a keyword's unit takes.

    >>> prototype(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).round(3).tolist()
    [[0.707, 0.0]]
    """
    size = _keyword_count(takes, owners)
    # Each take is made unit length before the mean: one loud, confident take would otherwise speak for the others.
    sums = np.zeros((size, takes.shape[1]), np.float64)
    np.add.at(sums, owners, unit(takes))
    return unit(queries) @ unit(sums).T


def best_take(queries: Floats, takes: Floats, owners: Ints) -> Floats:
    """Cosine to the nearest take of each keyword.

    >>> best_take(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).tolist()
    [[1.0, 0.0]]
    """
    size = _keyword_count(takes, owners)
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(size))
    return np.maximum.reduceat(unit(queries) @ unit(takes[order]).T, starts, axis=1)


def unit(rows: Floats) -> Floats:
    """Rows, shape (n, d), made unit length; a row of zeros stays as it is, alike to nothing."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def _keyword_count(takes: Floats, owners: Ints) -> int:
    if takes.ndim != 2 or owners.shape != takes.shape[:1] or not owners.size:
        raise InputError(f"takes {takes.shape}, owners {owners.shape}: expected (m, d) and (m,), m > 0")
    size = int(owners.max()) + 1
    if owners.min() < 0 or np.unique(owners).size != size:
        raise InputError("owners: number the keywords from 0, each with at least one take")
    return size
