"""Base classes of losses: the method ``forward`` checks a batch, and ``loss`` computes the loss of a checked batch."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from earmark.training.nn.losses.loss_input import LossInput, check_input
from earmark.training.nn.losses.settings import LossSettings

AnySettings = TypeVar("AnySettings", bound=LossSettings)


class Loss(nn.Module, ABC, Generic[AnySettings]):
    """A loss of embeddings. A subclass implements `loss`, and ``logits`` if its settings have ``has_classes``.

    Args:
        settings: settings of the loss.
        classes: number of training classes.
        dimension: length of an embedding.
    """

    def __init__(self, settings: AnySettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.classes, self.dimension = classes, dimension

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Check a batch of embeddings, and compute its loss.

        Args:
            embeddings: shape (N, M, d), M at least ``settings.least_utterances``; rows need not be unit length.
            labels: class number of each row, int64, shape (N,).
            background: embeddings of clips of no class, shape (B, d), for a loss that takes background.

        Returns:
            The loss, a scalar in float32 or float64.

        Raises:
            InputError: an argument has a wrong shape, or a label is not a class number.
        """
        classes, dimension = (self.classes, self.dimension) if self.settings.has_classes else (None, None)
        batch = check_input(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        return self.loss(batch)

    @abstractmethod
    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar."""


class ClassVectorLoss(Loss[AnySettings]):
    """A loss with a learned vector for each class.

    Attributes:
        weight: class vectors, shape (classes, dimension).
    """

    def __init__(self, settings: AnySettings, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dimension)))
