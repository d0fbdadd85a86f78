"""Frame source that uses an exported encoder: its frames are the vectors that the encoder sums over a word."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from earmark.core.audio import Wave
from earmark.core.config import NAME_OR_PATH
from earmark.models.encoder import load_encoder
from earmark.training.sequences.frames.source import CPU, Floats, FrameSourceSettings


class EncoderFrameSettings(FrameSourceSettings):
    """Settings of the frames of an exported encoder."""

    kind: Literal["encoder"] = Field("encoder", description="kind of frame source")
    model: Annotated[str, NAME_OR_PATH] = Field(
        "base", description="name of the shipped encoder, `base`, or path of an exported encoder (.onnx)"
    )

    def build_source(self, device: torch.device = CPU) -> "EncoderFrames":
        """Build the frame source with these settings; the encoder runs on the CPU, and `device` is not used."""
        del device
        return EncoderFrames(self)


class EncoderFrames:
    """Computes the vectors whose sum over a word is its embedding, see `earmark.models.encoder.Encoder.frames`.

    Args:
        settings: name or path of the encoder.

    Raises:
        EncoderError: the file does not exist, or is another kind of model.
    """

    reach_s = math.inf

    def __init__(self, settings: EncoderFrameSettings) -> None:
        self._encoder = load_encoder(settings.model)
        self.name = f"encoder {self._encoder.name}"
        self.fingerprint = self._encoder.fingerprint
        self.width = self._encoder.dimension
        self.hop = self._encoder.hop
        self.first_s = self._encoder.hop_s / 2

    def frames(self, wave: Wave) -> Floats:
        """Compute the frames of a wave of n samples, which is padded with silence; shape (⌈n / hop⌉, width)."""
        return self._encoder.frames(wave)
