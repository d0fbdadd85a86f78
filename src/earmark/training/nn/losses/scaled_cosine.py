"""Scores w · cos + b with learned w and b, which several losses share."""

import math
from typing import TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.settings import LossSettings


class ScaledCosineSettings(LossSettings):
    """Settings of a loss on scores w · cos + b."""

    scale: float = Field(10.0, gt=0, description="w at the start")
    bias: float = Field(-5.0, description="b at the start")


AnyScaledCosine = TypeVar("AnyScaledCosine", bound=ScaledCosineSettings)


class ScaledCosineLoss(Loss[AnyScaledCosine]):
    """A loss on scores w · cos + b. The logarithm of w is learned, so that w stays positive."""

    def __init__(self, settings: AnyScaledCosine, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        # The bias changes no softmax. It is kept because the published formulas have it.
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def scores(self, cosines: Tensor) -> Tensor:
        """Scores w · cos + b, of the shape of the cosines."""
        return self.log_scale.exp() * cosines + self.bias
