"""Additive angular margin softmax (ArcFace: Deng et al. 2019, arXiv 1801.07698, equation 3)."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine
from earmark.training.nn.losses.loss import ClassVectorLoss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import ClassifierSettings


class AAMSoftmaxSettings(ClassifierSettings):
    """Settings of additive angular margin softmax; the paper sets margin 0.5 and scale 64 for thousands of faces."""

    kind: Literal["aam_softmax"] = Field("aam_softmax", description="which loss")
    margin: float = Field(0.2, ge=0, lt=math.pi / 2, description="m in radians, added to the angle to the true class")
    scale: float = Field(30.0, gt=0, description="s, factor on all cosines")
    easy_margin: bool = Field(False, description="apply the margin only where the angle to the true class is below 90°")

    def build(self, *, classes: int, dimension: int) -> "AAMSoftmax":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return AAMSoftmax(self, classes=classes, dimension=dimension)


class AAMSoftmax(ClassVectorLoss[AAMSoftmaxSettings]):
    """Cross-entropy over cosines with class vectors, with a margin added to the angle of the true class.

    Let θ[k] be the angle between an embedding and the vector of class k, and y the true class. The scores are
    s · cos θ[k] for k ≠ y and s · cos(θ[y] + m) for k = y. The loss is the mean of -log softmax_k at k = y.

    Beyond θ[y] = π - m, cos(θ[y] + m) would rise with θ[y]. There the score is s · (cos θ[y] - m · sin m), which keeps
    falling. With the easy margin the score is s · cos θ[y] wherever θ[y] ≥ π / 2.
    """

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        target = batch.sample_labels[:, None]
        similarity = cosine(batch.samples, self.weight)
        similarity = similarity.scatter(1, target, self._with_margin(similarity.gather(1, target)))
        return nn.functional.cross_entropy(self.settings.scale * similarity, target[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Compute class scores s · cos θ without margin, shape (n, classes), from embeddings, shape (n, d)."""
        return self.settings.scale * cosine(embeddings, self.weight)

    def _with_margin(self, similarity: Tensor) -> Tensor:
        margin = self.settings.margin
        # The gradient of the sine is infinite at angles 0 and π; the clamp is below the resolution of float32.
        sine = (1 - similarity.square()).clamp_min(1e-7).sqrt()
        wider = similarity * math.cos(margin) - sine * math.sin(margin)
        if self.settings.easy_margin:
            return torch.where(similarity > 0, wider, similarity)
        return torch.where(similarity > -math.cos(margin), wider, similarity - margin * math.sin(margin))
