"""Stream encoder, which maps a waveform to frame vectors; their sum over a window is the window's embedding."""

from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.core.config import Settings
from earmark.training.nn.channels_last import channels_last
from earmark.training.nn.encoders.sequence import SequenceHead
from earmark.training.nn.encoders.speech_embedding import PUBLISHED_WIDTHS, SpeechEmbedding, load_published
from earmark.training.nn.frontends.streaming import LogMel
from earmark.training.nn.stream_state import StreamState


class StreamSettings(Settings):
    """Settings of a stream encoder: its convolution tower, its head, and the parts of a window."""

    kind: Literal["stream"] = Field("stream", description="which encoder")
    frames: Literal["published", "own"] = Field(
        "own", description="published: Google's speech_embedding, frozen; own: the same layers, trained here"
    )
    widths: tuple[int, int, int, int, int] = Field(
        PUBLISHED_WIDTHS, description="channels of the five stages; for own frames"
    )
    hidden: int = Field(192, ge=1, description="hidden channels of the head")
    context: int = Field(3, ge=1, description="kernel size of the head's first layer, in frames; odd")
    dimension: int = Field(128, ge=1, description="length of an embedding")
    parts: int = Field(1, ge=1, description="equal parts of a window, summed separately to keep the order of sounds")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout probability of a hidden channel of the head")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.context % 2 == 0:
            raise ValueError(f"context: {self.context} frames are an even number; choose an odd number")
        if self.dimension % self.parts:
            raise ValueError(
                f"parts: dimension {self.dimension} is not a multiple of {self.parts}; choose another number of parts"
            )
        return self

    def build(self) -> "FrameEncoder":
        """Build the stream encoder with these settings."""
        return channels_last(FrameEncoder(self))


class FrameEncoder(nn.Module):
    """Stream encoder: a log-mel frontend, a convolution tower and a head.

    Attributes:
        hop: samples between frames.
        reach: receptive field of a tower vector, in samples.
    """

    hop = LogMel.hop * SpeechEmbedding.mel_frames_per_frame
    reach = LogMel.hop * (SpeechEmbedding.receptive_mel_frames - 1) + LogMel.window

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__()
        self.settings = settings
        self.frontend = LogMel()
        match settings.frames:
            case "published":
                # In evaluation mode, so that batch statistics stay as published.
                self.tower = load_published().requires_grad_(False).eval()
            case "own":
                self.tower = SpeechEmbedding(settings.widths, normalized=True)
        self.head = SequenceHead(settings.hidden, settings.context, settings.dimension, settings.dropout)

    @property
    def lag(self) -> int:
        """Number of leading frames of a stream whose center is before its start."""
        return (self.reach // 2) // self.hop + self.settings.context // 2

    def tower_frames(self, waves: Tensor, state: StreamState | None = None) -> Tensor:
        """Compute the vectors of the convolution tower, shape (batch, t, 96), from waves, shape (batch, n).

        Without the state of a stream, vector j depends on ``reach`` samples from sample j · ``hop`` on.
        """
        mel = self.frontend(waves, state)
        return self.tower(mel[:, : mel.shape[1] // 4 * 4], state)

    def forward(self, waves: Tensor, state: StreamState | None = None) -> Tensor:
        """Compute frame vectors, shape (batch, t, d), from waves, shape (batch, n), or from a chunk of a stream."""
        return self.head(self.tower_frames(waves, state), state)

    def train(self, mode: bool = True) -> "FrameEncoder":
        """Set training or evaluation mode; the published tower, which is frozen, stays in evaluation mode."""
        super().train(mode)
        if self.settings.frames == "published":
            self.tower.eval()
        return self
