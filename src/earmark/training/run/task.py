"""Training task: the interface between the training loop and a network with its data."""

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
    """Embeddings of M utterances of each of N classes, followed by those of B background clips.

    Attributes:
        labels: class numbers, shape (N,).
        utterances: number M of utterances per class.
        embeddings: this process's share of all N · M + B rows, shape (rows, d).
        extra: loss of this process's rows that is added to the loss of the embeddings.
    """

    labels: NDArray[np.int64]
    utterances: int
    embeddings: Tensor = field(repr=False)
    extra: Tensor | float = 0.0


class TrainingTask(Protocol):
    """What the training loop needs of a recipe: a network, its training batches, and its validation."""

    @property
    def model(self) -> nn.Module:
        """The network that is trained and saved in checkpoints."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the loss, in the order of their numbers; empty if the loss has no class weights."""

    def batch(self, step: int, generator: torch.Generator, processes: Processes) -> Batch:
        """Draw and embed this process's share of the batch of a step.

        Args:
            step: number of the step, from 0; the batch depends on the step and the recipe's seed.
            generator: random generator on the CPU, in the same state in all processes.
            processes: the processes that share the batch.
        """

    def validate(self) -> dict[str, float]:
        """Evaluate the current weights, and return metrics by name; the result is empty without validation data."""


def batch_loss(batch: Batch, objective: nn.Module, processes: Processes) -> Tensor:
    """Compute the loss of the whole batch from the embeddings of all processes.

    Each process adds the extra loss of its own rows. After :meth:`Processes.average_gradients`, the gradients are equal
    to those of one process with the whole batch.
    """
    embeddings = processes.gather(at_least_float32(batch.embeddings))
    shape = len(batch.labels), batch.utterances
    of_classes, background = embeddings.tensor_split([math.prod(shape)])
    loss: Tensor = objective(
        of_classes.unflatten(0, shape), torch.from_numpy(batch.labels), background if len(background) else None
    )
    return loss + batch.extra
