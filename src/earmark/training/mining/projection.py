"""Projection of vectors onto their principal components, without whitening, computed in pieces.

The components are computed from sums of products, which take memory for d² numbers. faiss.PCAMatrix and a singular
value decomposition need all vectors at once (3 GB for a million vectors of width 768). The tests compare the results
with both.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.vectors import unit

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Projection:
    """Projection of vectors onto their principal components.

    Attributes:
        mean: mean of the vectors, shape (d,).
        axes: orthonormal columns, in order of falling variance, shape (d, k).
        explained: share of the variance that the components keep.
    """

    mean: Floats
    axes: Floats
    explained: float

    def apply(self, vectors: Floats) -> Floats:
        """Project vectors, shape (n, d), to float32 unit vectors, shape (n, k); a vector equal to the mean gives 0."""
        rows = (np.asarray(vectors, np.float32) - self.mean) @ self.axes
        # A shorter difference from the mean is a rounding error.
        return np.ascontiguousarray(unit(rows, tiny=1e-6), np.float32)


def fit_projection(pieces: Iterable[Floats], dimension: int) -> Projection:
    """Fit the principal components of vectors, and return the projection onto them.

    Args:
        pieces: vectors in pieces of shape (m, d); at least one vector in total.
        dimension: number of components, at most d.
    """
    count, total, products = 0, np.zeros(1), np.zeros((1, 1))
    for piece in pieces:
        rows = np.asarray(piece, np.float64)
        count, total, products = count + len(rows), total + rows.sum(axis=0), products + rows.T @ rows
    mean = total / count
    values, axes = np.linalg.eigh(products / count - np.outer(mean, mean))
    values, axes = np.maximum(values[::-1], 0), axes[:, ::-1]
    kept = values[:dimension].sum() / values.sum() if values.sum() > 0 else 1.0
    return Projection(mean.astype(np.float32), axes[:, :dimension].astype(np.float32), float(kept))
