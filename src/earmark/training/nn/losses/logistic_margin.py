"""Logistic margin (Hajibabaei & Dai 2018, arXiv 1807.08312, as in their released network)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import unit
from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.settings import LossSettings


class LogisticMarginSettings(LossSettings):
    """Settings of the loss; the defaults are those of the released network (the logged run has margin 25)."""

    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["logistic_margin"] = Field("logistic_margin", description="which loss")
    margin: float = Field(30.0, ge=0, description="subtracted from the scaled score of the true class")
    scale: float = Field(50.0, gt=0, description="γ at the start, factor on all scores")

    def build(self, *, classes: int, dimension: int) -> "LogisticMargin":
        """See `LossSettings.build`."""
        return LogisticMargin(self, classes=classes, dimension=dimension)


class LogisticMargin(nn.Module):
    """Cross-entropy over a linear layer on unit embeddings, with a margin subtracted from the true class.

    With z = A e / ‖e‖ + a the scores of an embedding e, where neither A nor a is normalized, the loss is the mean of
    -log softmax_k(γ · z[k] + β - m · [k = y]) at the true class y. γ and β are learned. γ is learned directly, not as
    a logarithm: at 50, steps of the logarithm would be 2500 times as large.

    The layer has the same name as in :class:`~earmark.training.nn.losses.softmax.Softmax`, so that a run that starts
    from a softmax run with the same classes loads its class vectors, as published.

    Args:
        settings: settings of the loss.
        classes: number of classes.
        dimension: length of an embedding.
    """

    def __init__(self, settings: LogisticMarginSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.head = nn.Linear(dimension, classes)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.scale = nn.Parameter(torch.tensor(settings.scale))
        # One number for all classes changes no softmax; it is kept because the published formula has it.
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one batch.

        Args:
            embeddings: shape (N, M, d); rows need not be unit length.
            labels: class number of each row, int64, shape (N,).
            background: not taken.

        Raises:
            InputError: a wrong shape or label.
        """
        classes, dimension = self.head.weight.shape
        batch = check_input(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        target = batch.sample_labels[:, None]
        scores = self.scale * self.logits(batch.samples) + self.bias
        scores = scores.scatter(1, target, scores.gather(1, target) - self.settings.margin)
        return nn.functional.cross_entropy(scores, target[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Scores z without scale and margin: embeddings (n, d) to (n, classes).

        They rank classes as γ · z + β does; the published accuracy is that of z.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            scores: Tensor = self.head(unit(embeddings))
        return scores
