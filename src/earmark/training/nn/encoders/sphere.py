"""ResNet-20 for speakers on the hypersphere.

Hajibabaei and Dai 2018 (arXiv 1807.08312); the architecture is that of SphereFace (Liu et al. 2017, arXiv 1704.08063).
"""

import math
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.training.nn.encoders.clip import ClipEncoderSettings
from earmark.training.nn.encoders.microbatches import in_microbatches
from earmark.training.nn.encoders.prelu import PReLU
from earmark.training.nn.frontends import FrontendSettings, MagnitudeSettings

Count = Annotated[int, Field(ge=1)]


class SphereSettings(ClipEncoderSettings):
    """Settings of the ResNet-20; the defaults are the published ones, with embeddings of 512 numbers."""

    kind: Literal["sphere"] = Field("sphere", description="which network")
    dimension: int = Field(512, ge=1, description="length of an embedding; 512 and 128 are published")
    length_s: float = Field(48_241 / 16_000, gt=0, description="length of a clip, in seconds")
    frontend: FrontendSettings = Field(MagnitudeSettings(), description="spectral features")
    widths: tuple[Count, ...] = Field(
        (64, 128, 256, 512), min_length=1, description="channels of each stage; a stage halves time and frequency"
    )
    units: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (1, 2, 4, 1), description="residual units of each stage, of two convolutions each"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout probability before the last layer; published: 0.5")
    init: float = Field(0.01, gt=0, description="standard deviation of the initial weights of residual convolutions")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if len(self.widths) != len(self.units):
            raise ValueError(f"widths, units: {len(self.widths)} and {len(self.units)} stages; give equally many")
        return self

    def network(self) -> "Sphere":
        """Build the network, which maps the features of clips to embeddings."""
        return Sphere(self)


class Unit(nn.Module):
    """Residual unit of two 3×3 convolutions, each with a PReLU; no activation follows the sum."""

    def __init__(self, channels: int, init: float) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for _ in range(2):
            convolution = nn.Conv2d(channels, channels, 3, padding=1)
            nn.init.normal_(convolution.weight, std=init)
            # As published, the bias is 0 and is not trained.
            convolution.bias = nn.Parameter(torch.zeros(channels), requires_grad=False)
            self.layers.extend([convolution, PReLU(channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Apply the unit to maps of shape (batch, channels, t, f); the result has the same shape."""
        return x + self.layers(x)


class Sphere(nn.Module):
    """ResNet-20: four stages, the mean over time, a linear layer.

    A stage is a 3×3 convolution of stride 2, a PReLU, and residual units. There is no normalization. The mean over time
    keeps the remaining frequencies: 17 columns of 512 channels.

    Names for ``start.freeze``: ``stages.0`` ….
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
        """Compute embeddings of clips of any length, shape (batch, dimension), from features of shape (batch, t, f)."""
        means = in_microbatches(self._means, features)
        return self.output(self.dropout(means.flatten(1)))

    def _means(self, features: Tensor) -> Tensor:
        return self.stages(features[:, None]).mean(dim=2)


def _xavier(layer: nn.Conv2d | nn.Linear) -> None:
    """Initialize a layer like Caffe's filler "xavier": uniform weights of variance 1 / inputs, zero bias."""
    bound = math.sqrt(3 / layer.weight[0].numel())
    nn.init.uniform_(layer.weight, -bound, bound)
    layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
