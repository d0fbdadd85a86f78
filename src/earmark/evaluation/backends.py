"""Scoring back-ends: score clips against keywords by the embeddings of the clips and of enrollment clips (takes)."""

from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.vectors import unit
from earmark.evaluation.svm import SvmSettings, margins

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Backend = Literal["prototype", "centroid", "best-take", "svm"]

BLOCK_QUERIES = 1024


def score(
    queries: Floats,
    takes: Floats,
    keyword_ids: Ints,
    *,
    backend: Backend = "prototype",
    background: Floats | None = None,
    svm: SvmSettings | None = None,
) -> Floats:
    """Score every query against every keyword.

    Args:
        queries: embeddings of the clips to score, shape (n, d).
        takes: embeddings of the enrollment clips of all keywords, shape (m, d).
        keyword_ids: index of each take's keyword, 0 … k-1, shape (m,); every keyword has a take.
        backend: `prototype`: cosine to the mean of the unit takes; `centroid`: cosine to the plain mean of the takes,
            as in Jung et al. 2023 and Huh et al. 2021; `best-take`: cosine to the nearest take; `svm`: one RBF-SVM per
            keyword.
        background: clips without a keyword, shape (b, d): negatives of every SVM; other back-ends ignore them.
        svm: settings of the SVMs.

    Returns:
        Scores, shape (n, k): cosines in [-1, 1], or values of the SVMs' decision functions.

    Raises:
        InputError: `keyword_ids` does not fit `takes` or omits a keyword; `svm` has one keyword and no background.
    """
    match backend:
        case "prototype":
            return prototype(queries, takes, keyword_ids)
        case "centroid":
            return centroid(queries, takes, keyword_ids)
        case "best-take":
            return best_take(queries, takes, keyword_ids)
        case "svm":
            _keyword_count(takes, keyword_ids)
            if background is not None:
                takes = np.concatenate([takes, background])
                keyword_ids = np.append(keyword_ids, np.full(len(background), -1))
            return margins(queries, takes, keyword_ids, svm)
        case _:
            assert_never(backend)


def prototype(queries: Floats, takes: Floats, keyword_ids: Ints) -> Floats:
    """Cosine of queries to keyword prototypes, the means of unit-length takes; arguments and shapes as in `score`.

    >>> prototype(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).round(3).tolist()
    [[0.707, 0.0]]
    """
    # Takes are scaled to unit length before the mean: one long embedding would otherwise dominate the others.
    return centroid(queries, unit(takes), keyword_ids)


def centroid(queries: Floats, takes: Floats, keyword_ids: Ints) -> Floats:
    """Cosine of queries to keyword centroids, the plain means of takes; arguments and shapes as in `score`.

    Longer embeddings weigh more in a plain mean.

    >>> centroid(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).round(3).tolist()
    [[0.994, 0.0]]
    """
    size = _keyword_count(takes, keyword_ids)
    sums = np.zeros((size, takes.shape[1]), np.float64)
    np.add.at(sums, keyword_ids, takes)
    return unit(queries) @ unit(sums).T


def best_take(queries: Floats, takes: Floats, keyword_ids: Ints, *, block: int = BLOCK_QUERIES) -> Floats:
    """Cosine of queries to the nearest take of each keyword; arguments and shapes as in `score`.

    >>> best_take(np.float32([[1, 0]]), np.float32([[9, 0], [0, 1], [0, 2]]), np.array([0, 0, 1])).tolist()
    [[1.0, 0.0]]
    """
    size = _keyword_count(takes, keyword_ids)
    order = np.argsort(keyword_ids, kind="stable")
    starts = np.searchsorted(keyword_ids[order], np.arange(size))
    columns = unit(takes[order]).T
    # Queries are scored in blocks: thousands of clips against thousands of takes would need too much memory at once.
    parts = [queries[at : at + block] for at in range(0, max(len(queries), 1), block)]
    return np.concatenate([np.maximum.reduceat(unit(part) @ columns, starts, axis=1) for part in parts])


def _keyword_count(takes: Floats, keyword_ids: Ints) -> int:
    if takes.ndim != 2 or keyword_ids.shape != takes.shape[:1] or not keyword_ids.size:
        raise InputError(
            f"takes and keyword_ids have shapes {takes.shape} and {keyword_ids.shape}; expected (m, d) and (m,), m > 0"
        )
    size = int(keyword_ids.max()) + 1
    if keyword_ids.min() < 0 or np.unique(keyword_ids).size != size:
        raise InputError(
            "keyword_ids: a number is negative or left out; number the keywords 0, 1, 2 …, each with at least one take"
        )
    return size
