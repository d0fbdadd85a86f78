"""Head of a stream encoder: maps tower vectors to frame vectors, whose sum over a window is the window's embedding."""

import torch
from torch import Tensor, nn

from earmark.training.nn.stream_state import StreamState, with_past


class SequenceHead(nn.Module):
    """Convolutions from tower vectors, the output of `SpeechEmbedding`, to frame vectors.

    The length of a frame vector is its weight in the sum over a window. The head thereby learns an attentive mean
    without a second pass over the window.

    Args:
        hidden: hidden channels.
        context: kernel size of the first layer, in frames.
        dimension: length of a frame vector.
        dropout: dropout probability of a hidden channel.
        channels: length of a tower vector.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, hidden: int, context: int, dimension: int, dropout: float, channels: int = 96) -> None:
        super().__init__()
        self.context = context
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.enter = nn.Conv1d(channels, hidden, context)
        self.middle = nn.Conv1d(hidden, hidden, 1)
        self.leave = nn.Conv1d(hidden, dimension, 1)
        self.dropout = nn.Dropout(dropout)

    def fit_scale(self, frames: Tensor) -> None:
        """Set the mean and deviation of `normalize` from sample tower vectors, shape (n, channels)."""
        self.mean.copy_(frames.mean(0))
        self.deviation.copy_(frames.std(0))

    def normalize(self, frames: Tensor) -> Tensor:
        """Shift and scale tower vectors, shape (…, channels), to zero mean and unit deviation."""
        return (frames - self.mean) / self.deviation

    def forward(self, frames: Tensor, state: StreamState | None = None) -> Tensor:
        """Compute frame vectors from tower vectors, shape (batch, t, channels).

        Args:
            frames: the tower vectors.
            state: state of a stream; None for a whole wave.

        Returns:
            Shape (batch, t - context + 1, dimension) for a whole wave, and (batch, t, dimension) in a stream.
        """
        x = with_past(self.normalize(frames), state, self.context - 1, axis=1).transpose(1, 2)
        x = nn.functional.gelu(self.enter(x))
        x = x + nn.functional.gelu(self.middle(self.dropout(x)))
        return self.leave(x).transpose(1, 2)
