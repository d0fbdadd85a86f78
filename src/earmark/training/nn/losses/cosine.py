"""Unit vectors and cosines of tensors, in float32 or float64 even under autocast. For NumPy: `earmark.core.vectors`."""

import math

import torch
from torch import Tensor


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors to length 1, shape (…, d).

    A zero vector stays zero, and its gradient is zero. Division by a small constant would give a gradient that is
    10¹² times too large.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6, 0.8],
            [0.0, 0.0]])
    """
    vectors = at_least_float32(vectors)
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / torch.where(length > 1e-12, length, math.inf)


def cosine(queries: Tensor, references: Tensor) -> Tensor:
    """Compute the cosine similarity of each query to each reference.

    Args:
        queries: shape (…, n, d); rows need not be unit length.
        references: shape (…, m, d).

    Returns:
        Shape (…, n, m).
    """
    with torch.autocast(queries.device.type, enabled=False):
        return unit(queries) @ unit(references).mT


def at_least_float32(tensor: Tensor) -> Tensor:
    """Convert half precision to float32; float64 stays.

    >>> at_least_float32(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
