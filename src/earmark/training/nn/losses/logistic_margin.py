"""Logistic margin (Hajibabaei & Dai 2018, arXiv 1807.08312, as their released network has it)."""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.cosine import unit


class LogisticMarginSettings(BaseModel):
    """Settings of the loss; the defaults are those of the released network (the logged run has margin 25)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["logistic_margin"] = Field("logistic_margin", description="which loss")
    margin: float = Field(30.0, ge=0, description="taken off the scaled score of the right class")
    scale: float = Field(50.0, gt=0, description="γ at the start, which multiplies all scores")


class LogisticMargin(nn.Module):
    """Cross-entropy over a linear layer on unit embeddings, the right class of which counts for less.

    With z = A e / ‖e‖ + a the scores of an embedding e, where neither A nor a is normalized, the loss is the mean of
    -log softmax_k(γ · z[k] + β - m · [k = y]) at the right class y. γ and β are learned, γ as it is and not through
    its logarithm: from 50 on, steps of the logarithm would be 2500 times as large.

    The layer has the same name as in :class:`~earmark.training.nn.losses.softmax.Softmax`, so that a run that starts
    from a softmax run with the same classes continues with its class vectors, as the published one does.

    Args:
        settings: of the loss.
        classes: how many there are.
        dimension: of the embeddings.
    """

    def __init__(self, settings: LogisticMarginSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.head = nn.Linear(dimension, classes)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.scale = nn.Parameter(torch.tensor(settings.scale))
        # One number for all classes moves no softmax; it stays for the formula to be the published one.
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            embeddings: shape (N, M, d); rows need not be unit length.
            labels: class number of each row, int64, shape (N,).
            background: none.

        Raises:
            InputError: wrong shapes or labels.
        """
        classes, dimension = self.head.weight.shape
        batch = checked(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        right = batch.sample_labels[:, None]
        scores = self.scale * self.logits(batch.samples) + self.bias
        scores = scores.scatter(1, right, scores.gather(1, right) - self.settings.margin)
        return nn.functional.cross_entropy(scores, right[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Score z of each class, neither scaled nor with a margin, shape (n, classes), of embeddings, shape (n, d).

        Its order is that of γ · z + β; accuracy is published on z.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            scores: Tensor = self.head(unit(embeddings))
        return scores
