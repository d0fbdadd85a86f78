"""The encoder of streams: waveform to frame vectors, whose sum over a window is the window's embedding."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from earmark.training.nn.encoders.sequence import SequenceHead
from earmark.training.nn.encoders.speech_embedding import PUBLISHED_WIDTHS, SpeechEmbedding, load_published
from earmark.training.nn.frontends.streaming import LogMel
from earmark.training.nn.stream_state import StreamState


class StreamSettings(BaseModel):
    """The parts of an encoder of streams."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stream"] = Field("stream", description="which encoder")
    frames: Literal["published", "own"] = Field(
        "own", description="published: Google's speech_embedding, frozen; own: the same layers, trained here"
    )
    widths: tuple[int, int, int, int, int] = Field(
        PUBLISHED_WIDTHS, description="channels of the five stages, when own"
    )
    hidden: int = Field(192, ge=1, description="channels of the head")
    context: int = Field(3, ge=1, description="frames that the head's first layer sees; odd")
    dimension: int = Field(128, ge=1, description="length of an embedding")
    parts: int = Field(
        1, ge=1, description="equal parts of a window that are summed apart; they keep the order of sounds"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="share of the head's channels that a training step leaves out")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.context % 2 == 0:
            raise ValueError(f"context: {self.context} frames have no middle; choose an odd number")
        if self.dimension % self.parts:
            raise ValueError(f"parts: {self.dimension} dimensions cannot be shared out among {self.parts} parts")
        return self


class FrameEncoder(nn.Module):
    """Log-mel frontend, convolution tower and head.

    Attributes:
        hop: samples between frames.
        reach: samples that one frame's tower vector sees.
    """

    hop = LogMel.hop * SpeechEmbedding.mel_frames_per_frame
    reach = LogMel.hop * (SpeechEmbedding.receptive_mel_frames - 1) + LogMel.window

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__()
        self.settings = settings
        self.frontend = LogMel()
        match settings.frames:
            case "published":
                # In evaluation mode from the first call on, lest its normalization learn from what it hears.
                self.tower = load_published().requires_grad_(False).eval()
            case "own":
                self.tower = SpeechEmbedding(settings.widths, normalized=True)
        self.head = SequenceHead(settings.hidden, settings.context, settings.dimension, settings.dropout)

    @property
    def lag(self) -> int:
        """Frames that come before the first that describes an instant of the stream."""
        return (self.reach // 2) // self.hop + self.settings.context // 2

    def tower_frames(self, waves: Tensor, state: StreamState | None = None) -> Tensor:
        """Tower vectors: (batch, n) gives (batch, t, 96).

        Frame j of a wave that stands alone sees the samples from j · ``hop`` to before j · ``hop`` + ``reach``.
        """
        mel = self.frontend(waves, state)
        return self.tower(mel[:, : mel.shape[1] // 4 * 4], state)

    def forward(self, waves: Tensor, state: StreamState | None = None) -> Tensor:
        """Frame vectors: (batch, n) gives (batch, t, d)."""
        return self.head(self.tower_frames(waves, state), state)

    def train(self, mode: bool = True) -> "FrameEncoder":
        """Frozen published frames stay in evaluation mode."""
        super().train(mode)
        if self.settings.frames == "published":
            self.tower.eval()
        return self
