"""Unit vectors and cosines of NumPy arrays; zero vectors, which have no direction, have the cosine 0.

Embeddings, prototypes and scores are scaled and compared by these functions. The same functions for PyTorch, with
finite gradients, are in `earmark.training.nn.losses.cosine`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

TINY = 1e-12
"""A vector that is not longer than this has no direction."""


def unit(vectors: Floats, *, tiny: float = TINY) -> Floats:
    """Scale vectors to length 1.

    Args:
        vectors: shape (…, d).
        tiny: a vector that is not longer than this has no direction and becomes zero, so that its cosine with every
            vector is 0. Raise it where short vectors are rounding errors of longer ones.

    Returns:
        Same shape and precision as `vectors`. A vector that is not finite stays not finite.

    >>> unit(np.float32([[3, 4], [0, 0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # `~(… <= …)`: true for a length of NaN, so that the result is NaN, too.
    return vectors / np.where(~(lengths <= tiny), lengths, np.inf)


def cosine(queries: Floats, references: Floats) -> Floats:
    """Cosine similarity of every query to every reference.

    Args:
        queries: shape (n, d); rows need not be unit length.
        references: shape (m, d).

    Returns:
        Similarities in [-1, 1], shape (n, m); 0 for a row without a direction.

    >>> cosine(np.float32([[2, 0]]), np.float32([[1, 0], [0, 3]])).tolist()
    [[1.0, 0.0]]
    """
    return unit(queries) @ unit(references).T


def unit_mean(vectors: Floats) -> NDArray[np.float32]:
    """Mean of vectors, scaled to length 1: the prototype of takes, summed in double precision.

    Args:
        vectors: shape (k, d), k > 0.

    Returns:
        Shape (d,); zero where the vectors cancel each other.

    >>> unit_mean(np.float32([[1, 0], [0, 1]])).tolist()
    [0.7071..., 0.7071...]
    """
    return unit(vectors.mean(axis=0, dtype=np.float64)).astype(np.float32)


def without_direction(vectors: Floats, *, tiny: float = TINY) -> NDArray[np.intp]:
    """Return the numbers of the rows that are zero or not finite, whose cosines are meaningless.

    Args:
        vectors: shape (n, d).
        tiny: as in `unit`.

    Returns:
        Row numbers, ascending, shape (m,).

    >>> without_direction(np.float32([[1, 0], [0, 0], [np.nan, 1]])).tolist()
    [1, 2]
    """
    lengths = np.linalg.norm(vectors, axis=-1)
    return np.flatnonzero(~(np.isfinite(lengths) & (lengths > tiny)))
