"""Logistic margin of the network that Hajibabaei & Dai 2018 (arXiv 1807.08312) released."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import unit
from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import ClassifierSettings


class LogisticMarginSettings(ClassifierSettings):
    """Settings of the logistic margin; the defaults are those of the released network (its training log: margin 25)."""

    kind: Literal["logistic_margin"] = Field("logistic_margin", description="which loss")
    margin: float = Field(30.0, ge=0, description="subtracted from the scaled score of the true class")
    scale: float = Field(50.0, gt=0, description="γ at the start, factor on all scores")

    def build(self, *, classes: int, dimension: int) -> "LogisticMargin":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return LogisticMargin(self, classes=classes, dimension=dimension)


class LogisticMargin(Loss[LogisticMarginSettings]):
    """Cross-entropy over a linear layer on unit embeddings, with a margin subtracted from the true class.

    With z = A e / ‖e‖ + a the scores of an embedding e, where neither A nor a is normalized, the loss is the mean of
    -log softmax_k(γ · z[k] + β - m · [k = y]) at the true class y. γ and β are learned. γ itself is learned, not its
    logarithm: at γ = 50, gradient steps of the logarithm would change γ 2500 times as much.

    The layer has the same name as in :class:`~earmark.training.nn.losses.softmax.Softmax`. A run that starts from a
    softmax run with the same classes therefore loads its class vectors, as published.
    """

    def __init__(self, settings: LogisticMarginSettings, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        self.head = nn.Linear(dimension, classes)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.scale = nn.Parameter(torch.tensor(settings.scale))
        # A bias common to all classes changes no softmax. It is kept because the published formula has it.
        self.bias = nn.Parameter(torch.tensor(0.0))

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        target = batch.sample_labels[:, None]
        scores = self.scale * self.logits(batch.samples) + self.bias
        scores = scores.scatter(1, target, scores.gather(1, target) - self.settings.margin)
        return nn.functional.cross_entropy(scores, target[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Compute class scores z without scale and margin, shape (n, classes), from embeddings, shape (n, d).

        z ranks the classes as γ · z + β does. The published accuracy is that of z.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            scores: Tensor = self.head(unit(embeddings))
        return scores
