"""BC-ResNet: broadcasted residual learning (Kim et al. 2021, arXiv 2106.04140)."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from earmark.training.nn.encoders.clip import ClipEncoderSettings
from earmark.training.nn.frontends import FrontendSettings, LogMelSettings

SUB_BANDS = 5
WIDTHS = (1, 1.5, 2, 3, 6, 8)


class BCResNetSettings(ClipEncoderSettings):
    """Settings of the encoder BC-ResNet.

    For widths above 1, the paper applies two time masks of up to 20 frames, and two frequency masks of up to 1, 3, 5, 7
    and 7 bands (widths 1.5, 2, 3, 6 and 8).
    """

    kind: Literal["bc_resnet"] = Field("bc_resnet", description="which network")
    width: float = Field(1, description="τ: factor on the channels of the smallest network; 1, 1.5, 2, 3, 6 or 8")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout probability of a channel in each block")
    frontend: FrontendSettings = Field(LogMelSettings(window_s=0.03), description="spectral features")

    @field_validator("width")
    @classmethod
    def _is_published(cls, width: float) -> float:
        if width not in WIDTHS:
            raise ValueError(
                f"{width:g} is not a published width of BC-ResNet; choose one of {', '.join(map(str, WIDTHS))}"
            )
        return width

    @model_validator(mode="after")
    def _splits_into_sub_bands(self) -> Self:
        bands = self.frontend.features
        # Three layers halve the bands.
        halves = [-(-bands // 2**times) for times in (1, 2, 3)]
        if any(count % SUB_BANDS for count in halves):
            raise ValueError(
                f"frontend: {bands} features per frame, halved three times, cannot be divided into {SUB_BANDS} "
                "sub-bands; choose 40 features"
            )
        return self

    def network(self) -> "BCResNet":
        """Build the network, which maps the features of clips to embeddings."""
        return BCResNet(self)


class SubSpectralNorm(nn.Module):
    """Batch normalization of each of five equal sub-bands (Chang et al. 2021, arXiv 2103.13620)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels * SUB_BANDS)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize feature maps of shape (batch, channels, f, t); f is a multiple of five."""
        return self.norm(x.unflatten(2, (SUB_BANDS, -1)).flatten(1, 2)).view_as(x)


class Block(nn.Module):
    """Block of BC-ResNet: computes relu(x + f2(x) + f1(mean of f2(x) over frequency)), f1 broadcast over frequency.

    f2 is a convolution over frequency, and f1 a convolution over time. A transition block changes the number of
    channels: its f2 begins with a 1×1 convolution, and it has no term x.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.is_transition = channels_in != channels
        change = [nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        self.frequency = nn.Sequential(
            *(change if self.is_transition else []),
            nn.Conv2d(channels, channels, (3, 1), stride=(stride, 1), padding=(1, 0), groups=channels, bias=False),
            SubSpectralNorm(channels),
        )
        self.time = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False),
            nn.BatchNorm1d(channels),
            nn.SiLU(),
            nn.Conv1d(channels, channels, 1, bias=False),
            nn.Dropout1d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to maps (batch, channels_in, f, t); the result is (batch, channels, f / stride, t)."""
        over_frequency = self.frequency(x)
        total = over_frequency + self.time(over_frequency.mean(dim=2))[:, :, None]
        return (total if self.is_transition else total + x).relu()


class BCResNet(nn.Module):
    """BC-ResNet: twelve blocks in four stages, with more channels from stage to stage and dilations of 1, 2, 4, 8.

    Names for ``start.freeze``: ``blocks.0`` ….
    """

    def __init__(self, settings: BCResNetSettings) -> None:
        super().__init__()
        base = 8 * settings.width
        channels = int(2 * base)
        self.entry = nn.Sequential(
            nn.Conv2d(1, channels, 5, stride=(2, 1), padding=2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        blocks = []
        # Per stage: blocks, channels, stride over frequency of the first block, dilation over time.
        for count, factor, stride, dilation in ((2, 1, 1, 1), (2, 1.5, 2, 2), (4, 2, 2, 4), (4, 2.5, 1, 8)):
            for number in range(count):
                channels_out = int(factor * base)
                blocks.append(Block(channels, channels_out, 1 if number else stride, dilation, settings.dropout))
                channels = channels_out
        self.blocks = nn.Sequential(*blocks)
        last = int(4 * base)
        self.exit = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=(0, 2), groups=channels, bias=False),
            nn.Conv2d(channels, last, 1, bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(),
        )
        self.output = nn.Linear(last, settings.dimension)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the embeddings of clips, shape (batch, dimension), from their features, shape (batch, t, f)."""
        x = self.exit(self.blocks(self.entry(features.mT[:, None])))
        return self.output(x.mean(dim=(2, 3)))
