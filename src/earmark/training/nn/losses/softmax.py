"""Softmax cross-entropy: a classifier of the training words, whose embedding serves other words later."""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.training.nn.losses.batch import at_least_single, checked


class SoftmaxSettings(BaseModel):
    """Settings of the loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["softmax"] = Field("softmax", description="which loss")
    head: bool = Field(
        True, description="a linear layer makes the classes' scores; false: the embedding's columns are the scores"
    )


class Softmax(nn.Module):
    """Cross-entropy over the training classes.

    With z = A e + a the scores of an embedding e of class y, the loss is the mean of -log softmax_k z[k] at k = y.
    Without a head z = e (Jung et al. 2023, arXiv 2211.00439, train so): then an embedding may have more columns than
    there are classes, and the further ones are classes that are never right.

    Args:
        settings: of the loss.
        classes: how many there are.
        dimension: of the embeddings.

    Raises:
        InputError: without a head, fewer columns than classes.
    """

    def __init__(self, settings: SoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        if not settings.head and dimension < classes:
            raise InputError(
                f"loss.head: without one the embedding's {dimension} columns are the scores of {classes} classes;"
                f" make the encoder's embedding {classes} wide, or set head = true"
            )
        self.settings = settings
        self.classes, self.dimension = classes, dimension
        self.head = nn.Linear(dimension, classes) if settings.head else nn.Identity()

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            embeddings: shape (N, M, d).
            labels: class number of each row, int64, shape (N,).
            background: none.

        Raises:
            InputError: wrong shapes or labels.
        """
        batch = checked(self.settings, embeddings, labels, background, classes=self.classes, dimension=self.dimension)
        return nn.functional.cross_entropy(self._scores(batch.samples), batch.sample_labels)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Score of each class, shape (n, classes), of embeddings, shape (n, d)."""
        return self._scores(embeddings)[:, : self.classes]

    def _scores(self, embeddings: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            scores: Tensor = self.head(at_least_single(embeddings))
        return scores
