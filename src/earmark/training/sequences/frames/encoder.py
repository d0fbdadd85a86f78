"""Frame vectors of an encoder of ours: a shipped one, or one that `earmark export` wrote."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from earmark.core.audio import Wave
from earmark.core.config import NAME_OR_PATH
from earmark.models.encoder import load_encoder
from earmark.training.sequences.frames.source import Floats


class EncoderFrameSettings(BaseModel):
    """Which encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["encoder"] = Field("encoder", description="which source of frames")
    model: Annotated[str, NAME_OR_PATH] = Field(
        "base", description="base or tiny, or the path of an .onnx file that earmark export wrote"
    )


class EncoderFrames:
    """The vectors whose sum over a word is its embedding, see `earmark.models.encoder.Encoder.frames`.

    Args:
        settings: which encoder.

    Raises:
        EncoderError: no such file, or not an encoder of ours.
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
        """Shape (⌈n / hop⌉, width), with silence around the wave."""
        return self._encoder.frames(wave)
