"""Principal components without whitening, computed piece by piece.

From sums of products, in NumPy: they take d² numbers of memory, where faiss.PCAMatrix and a singular value
decomposition want all rows at once (3 GB for a million of 768 numbers). The tests compare with both.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Projection:
    """From vectors to their principal components, of unit length.

    Attributes:
        mean: shape (d,).
        axes: orthonormal columns, the strongest first, shape (d, k).
        explained: share of the variance that they keep.
    """

    mean: Floats
    axes: Floats
    explained: float

    def apply(self, vectors: Floats) -> Floats:
        """Shape (n, d) to unit vectors, shape (n, k) float32; a vector that is the mean itself has no direction: 0."""
        rows = (np.asarray(vectors, np.float32) - self.mean) @ self.axes
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.ascontiguousarray(rows / np.where(lengths > 1e-6, lengths, np.inf), np.float32)


def fit_projection(pieces: Iterable[Floats], dimension: int) -> Projection:
    """Find the components of most variance.

    Args:
        pieces: of the vectors, shapes (m, d), at least one vector in all.
        dimension: components to keep, or all when d is less.

    Returns:
        Components in which a vector's rotation is kept, and its scale: nothing is whitened.
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
