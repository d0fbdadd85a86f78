"""From embeddings to scores: each back-end says how alike a clip and the takes of a keyword are."""

from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation.svm import Svm, margins, unit

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Backend = Literal["prototype", "centroid", "best-take", "svm"]

QUERIES_AT_ONCE = 1024


def score(
    queries: Floats,
    takes: Floats,
    owners: Ints,
    *,
    backend: Backend = "prototype",
    background: Floats | None = None,
    svm: Svm | None = None,
) -> Floats:
    """Score every query against every keyword.

    Args:
        queries: shape (n, d).
        takes: shape (m, d), the enrolled takes of all keywords.
        owners: shape (m,), which keyword each take belongs to: 0 … k-1, each at least once.
        backend: `prototype`: cosine to the mean of the unit takes; `centroid`: to the mean of the takes as they are,
            as Jung et al. 2023 and Huh et al. 2021 publish it; `best-take`: to the nearest take; `svm`: an RBF machine
            a keyword.
        background: shape (b, d), clips of no keyword, which stand against all of them; only `svm` looks at them.
        svm: settings of the machines.

    Returns:
        Shape (n, k): cosines in [-1, 1], or values of the machines' decision functions.

    Raises:
        InputError: `owners` does not fit `takes` or leaves out a keyword; `svm` with one keyword and no background.
    """
    match backend:
        case "prototype":
            return prototype(queries, takes, owners)
        case "centroid":
            return centroid(queries, takes, owners)
        case "best-take":
            return best_take(queries, takes, owners)
        case "svm":
            _keyword_count(takes, owners)
            if background is not None:
                takes = np.concatenate([takes, background])
                owners = np.append(owners, np.full(len(background), -1))
            return margins(queries, takes, owners, svm)
        case _:
            assert_never(backend)


def prototype(queries: Floats, takes: Floats, owners: Ints) -> Floats:
    """Cosine to the prototype: the mean of a keyword's unit takes.

    >>> prototype(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).round(3).tolist()
    [[0.707, 0.0]]
    """
    # Each take is made unit length before the mean: one loud, confident take would otherwise speak for the others.
    return centroid(queries, unit(takes), owners)


def centroid(queries: Floats, takes: Floats, owners: Ints) -> Floats:
    """Cosine to the centroid: the plain mean of a keyword's takes, in which a longer take weighs more.

    >>> centroid(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).round(3).tolist()
    [[0.994, 0.0]]
    """
    size = _keyword_count(takes, owners)
    sums = np.zeros((size, takes.shape[1]), np.float64)
    np.add.at(sums, owners, takes)
    return unit(queries) @ unit(sums).T


def best_take(queries: Floats, takes: Floats, owners: Ints) -> Floats:
    """Cosine to the nearest take of each keyword.

    >>> best_take(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).tolist()
    [[1.0, 0.0]]
    """
    size = _keyword_count(takes, owners)
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(size))
    columns = unit(takes[order]).T
    # Thousands of clips against thousands of takes are more numbers than should be held at once.
    blocks = [queries[at : at + QUERIES_AT_ONCE] for at in range(0, max(len(queries), 1), QUERIES_AT_ONCE)]
    return np.concatenate([np.maximum.reduceat(unit(block) @ columns, starts, axis=1) for block in blocks])


def _keyword_count(takes: Floats, owners: Ints) -> int:
    if takes.ndim != 2 or owners.shape != takes.shape[:1] or not owners.size:
        raise InputError(f"takes {takes.shape}, owners {owners.shape}: expected (m, d) and (m,), m > 0")
    size = int(owners.max()) + 1
    if owners.min() < 0 or np.unique(owners).size != size:
        raise InputError("owners: number the keywords from 0, each with at least one take")
    return size
