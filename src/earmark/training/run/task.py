"""Training task: the network, its batches of embeddings, and its validation; what the loop trains."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import at_least_float32
from earmark.training.run.distributed import Processes


@dataclass(frozen=True)
class Batch:
    """Embeddings of N classes × M utterances, followed by those of B background clips.

    Attributes:
        labels: class numbers, shape (N,).
        utterances: M.
        embeddings: this process's rows, shape (share of N · M + B, d).
        extra: additional loss of this process's rows.
    """

    labels: NDArray[np.int64]
    utterances: int
    embeddings: Tensor = field(repr=False)
    extra: Tensor | float = 0.0


class TrainingTask(Protocol):
    """What the training loop needs of a recipe's data and network."""

    @property
    def model(self) -> nn.Module:
        """The network that is trained and saved in checkpoints."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the loss, by number; empty where the loss has no class weights."""

    def batch(self, step: int, generator: torch.Generator, processes: Processes) -> Batch:
        """Draw and embed this process's share of the batch of a step.

        Args:
            step: number of the step; the batch depends on it and the recipe's seed.
            generator: source of randomness, on the CPU, the same in all processes.
            processes: the processes that share the batch.
        """

    def validate(self) -> dict[str, float]:
        """Evaluate the current model: metrics by name; empty without validation data."""


def batch_loss(batch: Batch, objective: nn.Module, processes: Processes) -> Tensor:
    """Loss of the whole batch, whose embeddings are gathered from all processes.

    Each process adds the extra loss of its own share; :meth:`Processes.average_gradients` makes the gradient that of
    one process with the whole batch.
    """
    embeddings = processes.gather(at_least_float32(batch.embeddings))
    shape = len(batch.labels), batch.utterances
    of_classes, background = embeddings.tensor_split([math.prod(shape)])
    loss: Tensor = objective(
        of_classes.unflatten(0, shape), torch.from_numpy(batch.labels), background if len(background) else None
    )
    return loss + batch.extra
