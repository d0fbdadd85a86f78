"""Unit vectors and cosines, in single precision at least, also under autocast."""

import math

import torch
from torch import Tensor

from earmark.training.nn.losses.batch import at_least_single


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1 in the same directions, shape (…, d).

    A zero vector has no direction: it stays zero and passes no gradient on, where the usual division by a tiny number
    would pass on one that is 10¹² times too large.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6, 0.8],
            [0.0, 0.0]])
    """
    vectors = at_least_single(vectors)
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / torch.where(length > 1e-12, length, math.inf)


def cosines(queries: Tensor, references: Tensor) -> Tensor:
    """Cosine of every query with every reference.

    Args:
        queries: shape (…, n, d); rows need not be unit length.
        references: shape (…, m, d).

    Returns:
        Shape (…, n, m).
    """
    with torch.autocast(queries.device.type, enabled=False):
        return unit(queries) @ unit(references).mT
