"""The convolution tower of Google's speech_embedding (Lin et al. 2020, arXiv 2002.01322), as a stream.

The published network maps 76 mel frames to one vector of 96 numbers, once every 8 frames. Its layers do not pad time,
so that the network is one convolution over time and each frame is computed once. Here the last pooling has stride 1
over time: the network gives a vector every 4 frames (40 ms), at nearly the cost of a vector every 8 frames.
"""

from itertools import pairwise
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from earmark.training.nn.stream_state import StreamState, with_past

PUBLISHED_WIDTHS = (24, 48, 72, 96, 96)


class ClippedLeak(nn.Module):
    """The published activation: max(leaky ReLU with slope 0.2, -0.4)."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute max(leaky ReLU of x, -0.4) for each element of a tensor of any shape."""
        return nn.functional.leaky_relu(x, 0.2).clamp(min=-0.4)


class Separable(nn.Module):
    """A 1×3 convolution over frequency and a 3×1 convolution over time, each with the activation."""

    def __init__(self, channels_in: int, channels: int, *, normalized: bool = False) -> None:
        super().__init__()
        self.frequency = nn.Conv2d(channels_in, channels, (1, 3), padding=(0, 1))
        self.time = nn.Conv2d(channels, channels, (3, 1))
        self.norm = nn.BatchNorm2d(channels) if normalized else nn.Identity()
        self.activation = ClippedLeak()

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        """Apply both convolutions to maps of shape (batch, channels_in, t, f).

        The result has the shape (batch, channels, t - 2, f), or (batch, channels, t, f) with the state of a stream.
        """
        x = self.activation(self.frequency(x))
        return self.activation(self.norm(self.time(with_past(x, state, 2, axis=2))))


class SpeechEmbedding(nn.Module):
    """Network from mel frames to tower vectors, which are 40 ms apart and depend on 775 ms of audio each.

    Args:
        widths: channels of the five stages.
        dimension: length of a tower vector.
        normalized: add batch normalization, for training from scratch; the published weights include it.
    """

    mel_frames_per_frame = 4
    receptive_mel_frames = 76

    def __init__(
        self, widths: tuple[int, ...] = PUBLISHED_WIDTHS, dimension: int = 96, *, normalized: bool = False
    ) -> None:
        super().__init__()
        self.entry = nn.Conv2d(1, widths[0], (3, 3), padding=(0, 1), bias=False)
        self.entry_norm = nn.BatchNorm2d(widths[0], eps=1e-3)
        self.activation = ClippedLeak()
        first = Separable(widths[0], widths[0], normalized=normalized)
        pairs = [
            (Separable(a, b, normalized=normalized), Separable(b, b, normalized=normalized))
            for a, b in pairwise(widths)
        ]
        self.stages = nn.ModuleList([nn.ModuleList([first]), *(nn.ModuleList(pair) for pair in pairs)])
        self.exit = nn.Conv2d(widths[-1], dimension, (3, 1), dilation=(2, 1), bias=False)

    def forward(self, mel: Tensor, state: StreamState | None = None) -> Tensor:
        """Compute tower vectors from mel frames.

        Args:
            mel: shape (batch, t, 32), t a multiple of 4.
            state: state of a stream; None for a whole wave.

        Returns:
            Shape (batch, t / 4 - 18, dimension), or t / 4 frames in a stream.
        """
        x = with_past(mel, state, 2, axis=1)[:, None]
        x = self.activation(self.entry_norm(self.entry(x).relu()))
        for number, blocks in enumerate(self.stages):
            for block in blocks.children():
                x = block(x, state)
            if number == len(self.stages) - 1:
                x = with_past(x, state, 1, axis=2)
                x = nn.functional.max_pool2d(x, (2, 2), stride=(1, 2))
            else:
                time = 1 if number % 2 else 2
                x = nn.functional.max_pool2d(x, (time, 2))
        x = self.exit(with_past(x, state, 4, axis=2))
        return x.squeeze(3).transpose(1, 2)


def load_published() -> SpeechEmbedding:
    """Load the published speech_embedding network (Apache-2.0).

    The batch normalizations are merged into the convolutions, except for the first one, which is a layer of its own.
    """
    model = SpeechEmbedding()
    model.load_state_dict(load_file(Path(__file__).with_suffix(".safetensors")))
    return model
