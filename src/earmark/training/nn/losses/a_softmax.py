"""Angular softmax (SphereFace: Liu et al. 2017, arXiv 1704.08063, equations 6 and 7), with the authors' annealing."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import at_least_float32, unit
from earmark.training.nn.losses.loss import ClassVectorLoss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import ClassifierSettings


class ASoftmaxSettings(ClassifierSettings):
    """Settings of angular softmax; the defaults of λ are those of SphereFace's code and of Hajibabaei & Dai 2018."""

    kind: Literal["a_softmax"] = Field("a_softmax", description="which loss")
    margin: int = Field(4, ge=1, le=4, description="m, factor on the angle to the true class; 1: no margin")
    base: float = Field(1000.0, ge=0, description="λ before the first step; λ weights the score without margin")
    gamma: float = Field(0.12, ge=0, description="λ is base · (1 + gamma · step)^(-power)")
    power: float = Field(1.0, ge=0, description="exponent of the decay of λ, see gamma")
    lambda_min: float = Field(5.0, ge=0, description="lower bound of λ")

    def build(self, *, classes: int, dimension: int) -> "ASoftmax":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return ASoftmax(self, classes=classes, dimension=dimension)


class ASoftmax(ClassVectorLoss[ASoftmaxSettings]):
    """Cross-entropy over projections on unit class vectors, with an angular margin for the true class.

    Let θ[k] be the angle between an embedding e and the vector of class k, and y the true class. The scores are
    ‖e‖ · cos θ[k] for k ≠ y and ‖e‖ · (λ · cos θ[y] + ψ(θ[y])) / (1 + λ) for k = y. ψ(θ) = (-1)^j · cos(m · θ) - 2 · j
    with j = ⌊m · θ / π⌋ decreases from 1 to 1 - 2 · m. The loss is the mean of -log softmax_k at k = y.
    λ decays with every step in training mode, so that the margin grows slowly.

    Attributes:
        steps: number of training steps, int64, shape (1,); saved in a checkpoint.
    """

    steps: Tensor

    def __init__(self, settings: ASoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        # Shape (1,), not a scalar: a run that starts from a checkpoint of other classes loads the checkpoint's scalars,
        # but its new class vectors need the whole annealing.
        self.register_buffer("steps", torch.zeros(1, dtype=torch.int64))

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        if self.training:
            self.steps += 1
        target = batch.sample_labels[:, None]
        scores = self.logits(batch.samples)
        length = batch.samples.norm(dim=1, keepdim=True)
        with torch.autocast(scores.device.type, enabled=False):
            similarity = (unit(batch.samples) * unit(self.weight)[target[:, 0]]).sum(dim=1, keepdim=True)
        weight = self._lambda()
        own = (weight * scores.gather(1, target) + length * psi(similarity, self.settings.margin)) / (1 + weight)
        return nn.functional.cross_entropy(scores.scatter(1, target, own), target[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Compute class scores ‖e‖ · cos θ without margin, shape (n, classes), from embeddings, shape (n, d)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return at_least_float32(embeddings) @ unit(self.weight).T

    def _lambda(self) -> Tensor:
        settings = self.settings
        decayed = settings.base * (1 + settings.gamma * self.steps) ** -settings.power
        return decayed.clamp(min=settings.lambda_min)


def psi(cosine: Tensor, margin: int) -> Tensor:
    """Compute ψ(θ), the falling function of the angle in equation 7, from cos θ, for a margin m from 1 to 4.

    cos(m · θ) is computed as a polynomial of cos θ. Unlike the arc cosine, a polynomial has a finite gradient at 0° and
    180°.

    >>> psi(torch.tensor([1.0, 0.5, -1.0]), 3).tolist()
    [1.0, -1.0, -5.0]
    """
    match margin:
        case 1:
            multiple = cosine
        case 2:
            multiple = 2 * cosine**2 - 1
        case 3:
            multiple = (4 * cosine**2 - 3) * cosine
        case _:
            multiple = 8 * cosine**2 * (cosine**2 - 1) + 1
    passed = torch.zeros_like(cosine)
    for edge in range(1, margin):
        passed += cosine <= math.cos(edge * math.pi / margin)
    return (1 - 2 * (passed % 2)) * multiple - 2 * passed
