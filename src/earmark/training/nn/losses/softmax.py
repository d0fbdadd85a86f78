"""Softmax cross-entropy of a classifier of the training classes."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.training.nn.losses.cosine import at_least_float32
from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import ClassifierSettings


class SoftmaxSettings(ClassifierSettings):
    """Settings of the softmax loss."""

    kind: Literal["softmax"] = Field("softmax", description="which loss")
    head: bool = Field(
        True, description="a linear layer computes the class scores; false: the columns of the embedding are the scores"
    )

    def build(self, *, classes: int, dimension: int) -> "Softmax":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return Softmax(self, classes=classes, dimension=dimension)


class Softmax(Loss[SoftmaxSettings]):
    """Cross-entropy over the training classes.

    With z = A e + a the scores of an embedding e of class y, the loss is the mean of -log softmax_k z[k] at k = y.
    Without a head z = e, as in Jung et al. 2023 (arXiv 2211.00439). If e has more columns than there are classes, the
    last columns are scores of classes that are never the target.

    Raises:
        InputError: ``head`` is false, and an embedding has fewer columns than there are classes.
    """

    def __init__(self, settings: SoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        if not settings.head and dimension < classes:
            raise InputError(
                f"loss.head: without a head, {classes} classes need as many columns, but the embedding has {dimension};"
                f" set encoder.dimension = {classes}, or head = true"
            )
        self.head = nn.Linear(dimension, classes) if settings.head else nn.Identity()

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        return nn.functional.cross_entropy(self._scores(batch.samples), batch.sample_labels)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Compute class scores, shape (n, classes), from embeddings, shape (n, d)."""
        return self._scores(embeddings)[:, : self.classes]

    def _scores(self, embeddings: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            scores: Tensor = self.head(at_least_float32(embeddings))
        return scores
