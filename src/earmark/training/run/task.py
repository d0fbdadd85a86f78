"""What the training loop asks of what is learned: a network, batches of its embeddings, and perhaps a validation."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.training.run.distributed import Processes, single_or_double


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


def batch_loss(batch: Batch, objective: nn.Module, processes: Processes) -> Tensor:
    """Loss of the whole batch, whose embeddings are gathered from all processes.

    Each process adds the extra loss of its own share; :meth:`Processes.average_gradients` makes the gradient that of
    one process with the whole batch.
    """
    embeddings = processes.gather(single_or_double(batch.embeddings))
    shape = len(batch.labels), batch.utterances
    of_classes, background = embeddings.tensor_split([math.prod(shape)])
    loss: Tensor = objective(
        of_classes.unflatten(0, shape), torch.from_numpy(batch.labels), background if len(background) else None
    )
    return loss + batch.extra
