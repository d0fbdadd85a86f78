"""Softmax cross-entropy: a classifier of the training classes, whose embedding serves other classes later."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.training.nn.losses.cosine import at_least_float32
from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.settings import LossSettings


class SoftmaxSettings(LossSettings):
    """Settings of the loss."""

    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["softmax"] = Field("softmax", description="which loss")
    head: bool = Field(
        True, description="a linear layer computes the class scores; false: the columns of the embedding are the scores"
    )

    def build(self, *, classes: int, dimension: int) -> "Softmax":
        """See `LossSettings.build`."""
        return Softmax(self, classes=classes, dimension=dimension)


class Softmax(nn.Module):
    """Cross-entropy over the training classes.

    With z = A e + a the scores of an embedding e of class y, the loss is the mean of -log softmax_k z[k] at k = y.
    Without a head z = e (as in Jung et al. 2023, arXiv 2211.00439). Columns beyond the number of classes are then
    classes that are never the target.

    Args:
        settings: settings of the loss.
        classes: number of classes.
        dimension: length of an embedding.

    Raises:
        InputError: no head, and fewer columns than classes.
    """

    def __init__(self, settings: SoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        if not settings.head and dimension < classes:
            raise InputError(
                f"loss.head: false needs a column for each of {classes} classes, but the embedding has {dimension};"
                f" set encoder.dimension = {classes}, or head = true"
            )
        self.settings = settings
        self.classes, self.dimension = classes, dimension
        self.head = nn.Linear(dimension, classes) if settings.head else nn.Identity()

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one batch.

        Args:
            embeddings: shape (N, M, d).
            labels: class number of each row, int64, shape (N,).
            background: not taken.

        Raises:
            InputError: a wrong shape or label.
        """
        batch = check_input(
            self.settings, embeddings, labels, background, classes=self.classes, dimension=self.dimension
        )
        return nn.functional.cross_entropy(self._scores(batch.samples), batch.sample_labels)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Class scores: embeddings (n, d) to (n, classes)."""
        return self._scores(embeddings)[:, : self.classes]

    def _scores(self, embeddings: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            scores: Tensor = self.head(at_least_float32(embeddings))
        return scores
