"""Additive margin softmax (Wang et al. 2018, arXiv 1801.05599, equation 6; CosFace, arXiv 1801.09414, equation 4)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine
from earmark.training.nn.losses.loss import ClassVectorLoss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import ClassifierSettings


class AMSoftmaxSettings(ClassifierSettings):
    """Settings of additive margin softmax; the defaults are those of Jung et al. 2023, arXiv 2211.00439."""

    kind: Literal["am_softmax"] = Field("am_softmax", description="which loss")
    margin: float = Field(0.3, ge=0, le=2, description="m, subtracted from the cosine with the true class")
    scale: float = Field(15.0, gt=0, description="s, factor on all cosines")
    learned_scale: bool = Field(
        False, description="learn s from `scale` on; the margin m · s stays at its initial value"
    )

    def build(self, *, classes: int, dimension: int) -> "AMSoftmax":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return AMSoftmax(self, classes=classes, dimension=dimension)


class AMSoftmax(ClassVectorLoss[AMSoftmaxSettings]):
    """Cross-entropy over cosines with class vectors, with a margin subtracted from the cosine of the true class.

    With cos θ[k] the cosine of an embedding and the vector of class k, the scores are s · (cos θ[k] - m · [k = y]), and
    the loss is the mean of -log softmax_k at the true class y. If s is learned, the margin m · s stays at its initial
    value, as in Hajibabaei & Dai 2018 (arXiv 1807.08312): s starts at 100, and the margin is 50.
    """

    def __init__(self, settings: AMSoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        # s itself is learned, not its logarithm, so that the published learning rate gives the published steps.
        self.scale = nn.Parameter(torch.tensor(settings.scale)) if settings.learned_scale else settings.scale

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        target = batch.sample_labels[:, None]
        scores = self.logits(batch.samples)
        margin = self.settings.margin * self.settings.scale
        return nn.functional.cross_entropy(scores.scatter(1, target, scores.gather(1, target) - margin), target[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Compute class scores s · cos θ without margin, shape (n, classes), from embeddings, shape (n, d)."""
        return self.scale * cosine(embeddings, self.weight)
