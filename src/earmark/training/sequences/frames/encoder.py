"""Frame vectors of an exported encoder."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from earmark.core.audio import Wave
from earmark.core.config import NAME_OR_PATH
from earmark.models.encoder import load_encoder
from earmark.training.sequences.frames.source import CPU, Floats, FrameSourceSettings


class EncoderFrameSettings(FrameSourceSettings):
    """Settings of the frames of an encoder."""

    kind: Literal["encoder"] = Field("encoder", description="which source of frames")
    model: Annotated[str, NAME_OR_PATH] = Field(
        "base", description="base or tiny, or the path of an .onnx file that earmark export wrote"
    )

    def build_source(self, device: torch.device = CPU) -> "EncoderFrames":
        """See `FrameSourceSettings.build_source`; the encoder runs on the CPU."""
        del device
        return EncoderFrames(self)


class EncoderFrames:
    """The vectors whose sum over a word is its embedding, see `earmark.models.encoder.Encoder.frames`.

    Args:
        settings: which encoder.

    Raises:
        EncoderError: no such file, or another kind of model.
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
        """Frames, shape (⌈n / hop⌉, width), with silence around the wave."""
        return self._encoder.frames(wave)
