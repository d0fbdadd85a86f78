"""What the training loop asks of what is learned: a network, batches of its embeddings, and perhaps a validation."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.training.run.distributed import Processes


@dataclass(frozen=True)
class Batch:
    """Embeddings of N classes × M utterances and of B that are of no class, in this order.

    Attributes:
        labels: numbers of the classes, shape (N,).
        utterances: M.
        embeddings: of this process's share of the rows, shape (share of N · M + B, d).
        extra: a loss to add.
    """

    labels: NDArray[np.int64]
    utterances: int
    embeddings: Tensor = field(repr=False)
    extra: Tensor | float = 0.0


Draw = Callable[[int, torch.Generator, Processes], Batch]
"""Batch of a step. All randomness comes from the generator, on the CPU and alike in all processes."""


@dataclass(frozen=True)
class Work:
    """All that a recipe asks for, made once.

    Attributes:
        model: what learns, and what a checkpoint keeps.
        classes: what the loss tells apart, by number; empty where it has no weight for each.
        draw: batches.
        validate: measures the model as it is, some numbers by name; None where nothing is held out.
    """

    model: nn.Module
    classes: tuple[str, ...]
    draw: Draw
    validate: Callable[[], dict[str, float]] | None
