"""Scores w · cos + b with learned w and b, which several losses share."""

import math
from typing import TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.settings import LossSettings


class ScaledCosineSettings(LossSettings):
    """Settings of a loss that scores pairs by w · cos + b, with learned w and b."""

    scale: float = Field(10.0, gt=0, description="w at the start")
    bias: float = Field(-5.0, description="b at the start")


AnyScaledCosine = TypeVar("AnyScaledCosine", bound=ScaledCosineSettings)


class ScaledCosineLoss(Loss[AnyScaledCosine]):
    """A loss that scores pairs by w · cos + b. It learns b and the logarithm of w, so that w stays positive."""

    def __init__(self, settings: AnyScaledCosine, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        # The bias changes no softmax. It is kept because the published formulas have it.
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def scores(self, cosines: Tensor) -> Tensor:
        """Compute the scores w · cos + b of cosines, in the same shape."""
        return self.log_scale.exp() * cosines + self.bias
