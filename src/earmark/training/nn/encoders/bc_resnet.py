"""BC-ResNet: broadcasted residual learning (Kim et al. 2021, arXiv 2106.04140)."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from earmark.training.nn.encoders.clip_settings import ClipSettings
from earmark.training.nn.frontends import FrontendSettings, LogMelSettings

SUB_BANDS = 5
WIDTHS = (1, 1.5, 2, 3, 6, 8)


class BCResNetSettings(ClipSettings):
    """Settings of the network.

    The paper hides, in all but the narrowest, two stretches of up to 20 frames and two of up to 1, 3, 5, 7 and 7 bands
    (widths 1.5, 2, 3, 6 and 8).
    """

    kind: Literal["bc_resnet"] = Field("bc_resnet", description="which network")
    width: float = Field(1, description="τ: channels, as a multiple of the least network's; 1, 1.5, 2, 3, 6 or 8")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="share of each block's channels that a training step leaves out"
    )
    frontend: FrontendSettings = Field(
        LogMelSettings(window_s=0.03), description="which features of the sound the network sees"
    )

    @field_validator("width")
    @classmethod
    def _is_published(cls, width: float) -> float:
        if width not in WIDTHS:
            raise ValueError(f"{width:g} is none of {', '.join(map(str, WIDTHS))}")
        return width

    @model_validator(mode="after")
    def _splits_into_sub_bands(self) -> Self:
        bands = self.frontend.features
        # Three of the layers halve them.
        halves = [-(-bands // 2**times) for times in (1, 2, 3)]
        if any(count % SUB_BANDS for count in halves):
            raise ValueError(f"frontend: {bands} features, halved thrice, are not in {SUB_BANDS} equal parts; take 40")
        return self


class SubSpectralNorm(nn.Module):
    """Batch normalization of each of five equal parts of the frequency axis (Chang et al. 2021, arXiv 2103.13620)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels * SUB_BANDS)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, channels, f, t), f a multiple of the number of parts."""
        return self.norm(x.unflatten(2, (SUB_BANDS, -1)).flatten(1, 2)).view_as(x)


class Block(nn.Module):
    """relu(x + f2(x) + f1(mean of f2(x) over frequency)), the last term the same at all frequencies.

    f2 is a convolution over frequency, f1 one over time. Where the channels change, f2 begins with a convolution that
    changes them, and x is no term of the sum.
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
        """Shape (batch, channels_in, f, t) to (batch, channels, f / stride, t)."""
        over_frequency = self.frequency(x)
        total = over_frequency + self.time(over_frequency.mean(dim=2))[:, :, None]
        return (total if self.is_transition else total + x).relu()


class BCResNet(nn.Module):
    """Features to embedding: twelve blocks in four stages of widening channels and dilation.

    Freeze ``blocks.0`` … by name.
    """

    def __init__(self, settings: BCResNetSettings) -> None:
        super().__init__()
        base = 8 * settings.width
        channels = int(2 * base)
        self.entry = nn.Sequential(
            nn.Conv2d(1, channels, 5, stride=(2, 1), padding=2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        blocks = []
        # Of each stage: blocks, channels, stride over frequency of the first block, dilation over time.
        for count, factor, stride, dilation in ((2, 1, 1, 1), (2, 1.5, 2, 2), (4, 2, 2, 4), (4, 2.5, 1, 8)):
            for number in range(count):
                wanted = int(factor * base)
                blocks.append(Block(channels, wanted, 1 if number else stride, dilation, settings.dropout))
                channels = wanted
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
        """Shape (batch, t, f) to (batch, dimension)."""
        x = self.exit(self.blocks(self.entry(features.mT[:, None])))
        return self.output(x.mean(dim=(2, 3)))
