"""Angular softmax (SphereFace: Liu et al. 2017, arXiv 1704.08063, equations 6 and 7), annealed as its authors do."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.batch import at_least_single, checked
from earmark.training.nn.losses.cosine import unit


class ASoftmaxSettings(BaseModel):
    """Settings of the loss; λ's are those of SphereFace's release, which Hajibabaei & Dai 2018 (1807.08312) keep."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["a_softmax"] = Field("a_softmax", description="which loss")
    margin: int = Field(4, ge=1, le=4, description="m, which multiplies the angle to the right class; 1: no margin")
    base: float = Field(1000.0, ge=0, description="λ before the first step, the weight of the score without margin")
    gamma: float = Field(0.12, ge=0, description="λ is base · (1 + gamma · step)^(-power)")
    power: float = Field(1.0, ge=0, description="see gamma")
    lambda_min: float = Field(5.0, ge=0, description="λ falls no lower")


class ASoftmax(nn.Module):
    """Cross-entropy over projections on unit vectors of classes, to the right one of which the angle counts m times.

    With θ[k] the angle between an embedding e and the vector of class k, the scores are ‖e‖ · cos θ[k], except that of
    the right class y, ‖e‖ · (λ · cos θ[y] + ψ(θ[y])) / (1 + λ), where ψ(θ) = (-1)^j · cos(m · θ) - 2 · j with
    j = ⌊m · θ / π⌋ goes down from 1 to 1 - 2 · m; the loss is the mean of -log softmax_k at k = y.
    λ falls from step to step, so that the margin comes in slowly.

    Args:
        settings: of the loss.
        classes: how many there are.
        dimension: of the embeddings.

    Attributes:
        steps: how often the loss was computed in training mode, int64, shape (1,); part of a checkpoint.
    """

    steps: Tensor

    def __init__(self, settings: ASoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dimension)))
        # Not a scalar: a run that starts from another's checkpoint takes over its scalars, whatever its classes, and
        # class vectors that begin anew need the whole way down.
        self.register_buffer("steps", torch.zeros(1, dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch; in training mode a step toward the full margin.

        Args:
            embeddings: shape (N, M, d).
            labels: class number of each row, int64, shape (N,).
            background: none.

        Raises:
            InputError: wrong shapes or labels.
        """
        classes, dimension = self.weight.shape
        batch = checked(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        if self.training:
            self.steps += 1
        right = batch.sample_labels[:, None]
        scores = self.logits(batch.samples)
        length = batch.samples.norm(dim=1, keepdim=True)
        with torch.autocast(scores.device.type, enabled=False):
            cosine = (unit(batch.samples) * unit(self.weight)[right[:, 0]]).sum(dim=1, keepdim=True)
        weight = self._lambda()
        own = (weight * scores.gather(1, right) + length * widened(cosine, self.settings.margin)) / (1 + weight)
        return nn.functional.cross_entropy(scores.scatter(1, right, own), right[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Score ‖e‖ · cos θ of each class without margin, shape (n, classes), of embeddings, shape (n, d)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return at_least_single(embeddings) @ unit(self.weight).T

    def _lambda(self) -> Tensor:
        settings = self.settings
        falling = settings.base * (1 + settings.gamma * self.steps) ** -settings.power
        return falling.clamp(min=settings.lambda_min)


def widened(cosine: Tensor, margin: int) -> Tensor:
    """ψ(θ) of equation 7 from cos θ, for m of 1 to 4.

    cos(m · θ) is a polynomial of cos θ, and so the slope is finite at 0° and 180° too, where that of the arc cosine
    is not.

    >>> widened(torch.tensor([1.0, 0.5, -1.0]), 3).tolist()
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
