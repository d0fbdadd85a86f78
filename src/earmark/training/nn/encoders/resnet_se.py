"""Fast ResNet-34 with squeeze and excitation, a common small speaker encoder.

Chung et al. 2020 (arXiv 2003.11982); squeeze and excitation: Hu et al. 2018 (arXiv 1709.01507).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.training.nn.encoders.attentive_pooling import AttentivePooling
from earmark.training.nn.encoders.clip import ClipEncoderSettings
from earmark.training.nn.encoders.microbatches import in_microbatches
from earmark.training.nn.frontends import FrontendSettings, LogMelSettings

SQUEEZE = 8
_LEAST_VARIANCE = 1e-5
Count = Annotated[int, Field(ge=1)]


class ResNetSESettings(ClipEncoderSettings):
    """Settings of ResNetSE; the defaults are those of ResNetSE34L: 1.4 million parameters, clips of 2 seconds."""

    kind: Literal["resnet_se"] = Field("resnet_se", description="which network")
    dimension: int = Field(512, ge=1, description="length of an embedding")
    length_s: float = Field(2.0, gt=0, description="length of a training clip, in seconds")
    frontend: FrontendSettings = Field(LogMelSettings(n_fft=512), description="spectral features")
    widths: tuple[Annotated[int, Field(ge=SQUEEZE)], ...] = Field(
        (16, 32, 64, 128), min_length=1, description="channels of each stage, 8 or more"
    )
    blocks: tuple[Count, ...] = Field((3, 4, 6, 3), description="residual blocks of each stage")
    pooling: Literal["sap", "asp"] = Field(
        "sap", description="pooling over time; sap: attentive mean; asp: attentive mean and deviation"
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"widths, blocks: they have {len(self.widths)} and {len(self.blocks)} stages; give both the same number"
            )
        return self

    def network(self) -> "ResNetSE":
        """Build the network, which maps the features of clips to embeddings."""
        return ResNetSE(self)


class Excitation(nn.Module):
    """Squeeze and excitation: scale each channel by a gate in (0, 1), computed from the channel means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels // SQUEEZE
        self.layers = nn.Sequential(
            nn.Linear(channels, squeezed), nn.ReLU(), nn.Linear(squeezed, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each channel of maps, shape (batch, channels, t, f), by its gate."""
        return x * self.layers(x.mean(dim=(2, 3)))[:, :, None, None]


class Block(nn.Module):
    """Residual block of two 3×3 convolutions and an excitation.

    After the first convolution, ReLU precedes batch normalization. If the block changes the size or the channels, its
    shortcut is a 1×1 convolution with batch normalization.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False),
            nn.ReLU(),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            Excitation(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: maps (batch, channels_in, t, f) become (batch, channels, t / stride, f / stride)."""
        return (self.layers(x) + self.shortcut(x)).relu()


class ResNetSE(nn.Module):
    """A 7×7 convolution, four stages of residual blocks, attentive pooling, a linear layer. Takes any number of frames.

    First each band of a clip is normalized over its frames, to mean 0 and deviation 1. The first convolution halves
    the frequencies; the second and third stage halve time and frequency, and all other stages keep the size. The mean
    over the remaining frequencies gives the frames that are pooled.

    The network is that of voxceleb_trainer, with three differences: a Hann window instead of a Hamming window; a lower
    bound on mel power instead of an added constant; and a free choice of the number and widths of stages.

    Names for ``start.freeze``: ``stages.0`` ….
    """

    def __init__(self, settings: ResNetSESettings) -> None:
        super().__init__()
        first = settings.widths[0]
        # Time × frequency.
        self.entry = nn.Conv2d(1, first, 7, stride=(1, 2), padding=3, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm2d(first), nn.ReLU())
        self.stages = nn.Sequential()
        channels = first
        for number, (width, count) in enumerate(zip(settings.widths, settings.blocks, strict=True)):
            stride = 2 if number in (1, 2) else 1
            stage = nn.Sequential(Block(channels, width, stride), *(Block(width, width, 1) for _ in range(count - 1)))
            self.stages.append(stage)
            channels = width
        self.pooling = AttentivePooling(channels, deviations=settings.pooling == "asp")
        self.output = nn.Linear(self.pooling.features, settings.dimension)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor) -> Tensor:
        """Compute the embeddings of clips, shape (batch, dimension), from their features, shape (batch, t, f)."""
        centered = features - features.mean(dim=1, keepdim=True)
        normalized = centered / (centered.square().mean(dim=1, keepdim=True) + _LEAST_VARIANCE).sqrt()
        x = self.stages(self.norm(in_microbatches(self.entry, normalized[:, None])))
        return self.output(self.pooling(x.mean(dim=3).mT))
