"""The residual network of 20 convolutions that learns speakers on the hypersphere.

Hajibabaei and Dai 2018 (arXiv 1807.08312); its shape is that of SphereFace (Liu et al. 2017, arXiv 1704.08063).
"""

import math
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.training.nn.encoders.clip_settings import ClipSettings
from earmark.training.nn.encoders.microbatches import in_microbatches
from earmark.training.nn.encoders.prelu import PReLU
from earmark.training.nn.frontends import FrontendSettings, MagnitudeSettings

Count = Annotated[int, Field(ge=1)]


class SphereSettings(ClipSettings):
    """Settings of the network; the defaults are the published ones, with embeddings of 512 numbers."""

    kind: Literal["sphere"] = Field("sphere", description="which network")
    dimension: int = Field(512, ge=1, description="length of an embedding; 512 and 128 are published")
    length_s: float = Field(48_241 / 16_000, gt=0, description="length of the clips, in seconds")
    frontend: FrontendSettings = Field(MagnitudeSettings(), description="which features of the sound the network sees")
    widths: tuple[Count, ...] = Field(
        (64, 128, 256, 512), min_length=1, description="channels of each stage; a stage halves time and frequency"
    )
    units: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (1, 2, 4, 1), description="residual units of each stage, of two convolutions each"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the means that a step leaves out before the last layer; published: 0.5"
    )
    init: float = Field(
        0.01, gt=0, description="deviation of the weights that the residual units' convolutions begin with"
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if len(self.widths) != len(self.units):
            raise ValueError(f"widths, units: {len(self.widths)} and {len(self.units)} stages; give as many of both")
        return self


class Unit(nn.Module):
    """x + what two 3×3 convolutions, each with its PReLU, make of x; nothing follows the sum."""

    def __init__(self, channels: int, init: float) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for _ in range(2):
            convolution = nn.Conv2d(channels, channels, 3, padding=1)
            nn.init.normal_(convolution.weight, std=init)
            # Published: a bias that begins at 0 and learns at the rate 0.
            convolution.bias = nn.Parameter(torch.zeros(channels), requires_grad=False)
            self.layers.extend([convolution, PReLU(channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, channels, t, f), as it comes out."""
        return x + self.layers(x)


class Sphere(nn.Module):
    """Features to embedding: four stages, the mean over time, a linear layer.

    A stage is a 3×3 convolution in strides of 2, a PReLU, and residual units. There is no normalization, and the mean
    over time keeps apart the columns that remain of the frequencies: 17 of 512 numbers.

    Freeze ``stages.0`` … by name.
    """

    def __init__(self, settings: SphereSettings) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        channels, columns = 1, settings.shape[1]
        for width, units in zip(settings.widths, settings.units, strict=True):
            entry = nn.Conv2d(channels, width, 3, stride=2, padding=1)
            _xavier(entry)
            self.stages.append(nn.Sequential(entry, PReLU(width), *(Unit(width, settings.init) for _ in range(units))))
            channels, columns = width, (columns + 1) // 2
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(channels * columns, settings.dimension)
        _xavier(self.output)

    def forward(self, features: Tensor) -> Tensor:
        """Shape (batch, t, f) to (batch, dimension); t may be any number of frames."""
        means = in_microbatches(self._means, features)
        return self.output(self.dropout(means.flatten(1)))

    def _means(self, features: Tensor) -> Tensor:
        return self.stages(features[:, None]).mean(dim=2)


def _xavier(layer: nn.Conv2d | nn.Linear) -> None:
    """Weights uniform with variance 1 / inputs, as Caffe's filler of that name draws them, and no bias."""
    bound = math.sqrt(3 / layer.weight[0].numel())
    nn.init.uniform_(layer.weight, -bound, bound)
    layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
