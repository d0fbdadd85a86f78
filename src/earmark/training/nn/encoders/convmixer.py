"""ConvMixer for keyword spotting (Ng et al. 2022, arXiv 2201.05863)."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.encoders.clip import ClipEncoderSettings, check_shape
from earmark.training.nn.encoders.microbatches import in_microbatches

CHANNELS = 64
# Per block: filters over frequency, their kernel size, and the kernel size over time.
BLOCKS = ((64, 5, 9), (32, 5, 11), (16, 7, 13), (8, 7, 15))


class ConvMixerSettings(ClipEncoderSettings):
    """Settings of ConvMixer. Its size follows from the frontend and ``length_s``."""

    kind: Literal["convmixer"] = Field("convmixer", description="which network")

    def network(self) -> "ConvMixer":
        """Build the network, which maps the features of clips to embeddings."""
        return ConvMixer(self)


def separable(channels_in: int, channels: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Build layers: a depthwise separable convolution over time, batch normalization, and Swish."""
    padding = kernel // 2 * dilation
    return nn.Sequential(
        nn.Conv1d(channels_in, channels_in, kernel, padding=padding, dilation=dilation, groups=channels_in, bias=False),
        nn.Conv1d(channels_in, channels, 1, bias=False),
        nn.BatchNorm1d(channels),
        nn.SiLU(),
    )


class Mixer(nn.Module):
    """Two residual perceptrons: over time with t / 4 hidden units, and over channels with channels / 2 hidden units."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.over_time = _perceptron(frames, max(1, frames // 4))
        self.over_channels = _perceptron(channels, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both perceptrons to maps of shape (batch, channels, t); the result has the same shape."""
        x = x + self.over_time(x)
        return x + self.over_channels(x.mT).mT


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Block(nn.Module):
    """Mixing block: filters over frequency, filters over time, and a mixer, in this order.

    The output is the sum of the input, the frequency-filtered input, and the output of the mixer.
    """

    def __init__(self, filters: int, over_frequency: int, over_time: int, frames: int) -> None:
        super().__init__()
        self.frequency = nn.Sequential(
            nn.Conv2d(1, filters, 3, padding=1, bias=False),
            nn.SiLU(),
            nn.Conv2d(
                filters, filters, (over_frequency, 1), padding=(over_frequency // 2, 0), groups=filters, bias=False
            ),
            nn.SiLU(),
            nn.Conv2d(filters, 1, 1, bias=False),
        )
        self.filtered = nn.Sequential(nn.BatchNorm2d(1), nn.SiLU())
        self.time = separable(CHANNELS, CHANNELS, over_time)
        self.mixer = nn.Sequential(Mixer(CHANNELS, frames), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to maps of shape (batch, channels, t); the filters over frequency treat channels as bands."""
        filtered = self.filtered(in_microbatches(self.frequency, x[:, None]))[:, 0]
        return x + filtered + self.mixer(self.time(filtered))


class ConvMixer(nn.Module):
    """ConvMixer: convolutions over time, four mixing blocks, convolutions, the maximum over time, a linear layer."""

    def __init__(self, settings: ConvMixerSettings) -> None:
        super().__init__()
        self.shape = settings.shape
        frames, features = self.shape
        self.entry = separable(features, CHANNELS, 5)
        self.before = nn.Sequential(separable(CHANNELS, CHANNELS, 7), separable(CHANNELS, CHANNELS, 1))
        self.blocks = nn.Sequential(*(Block(*block, frames) for block in BLOCKS))
        self.after = nn.Sequential(
            separable(CHANNELS, 2 * CHANNELS, 17),
            separable(2 * CHANNELS, 2 * CHANNELS, 19, dilation=2),
            separable(2 * CHANNELS, 2 * CHANNELS, 1),
        )
        self.output = nn.Linear(2 * CHANNELS, settings.dimension)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the embeddings of clips, shape (batch, dimension), from their features, shape (batch, t, f).

        Raises:
            InputError: t or f differs from the settings.
        """
        check_shape(features, self.shape)
        x = self.entry(features.mT)
        x = self.blocks(x + self.before(x))
        return self.output(self.after(x).amax(dim=2))
