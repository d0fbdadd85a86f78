"""What all clip encoders have in common."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from earmark.core.audio import SAMPLE_RATE
from earmark.training.nn.frontends import FrontendSettings, MfccSettings
from earmark.training.nn.frontends.masks import MaskSettings


class ClipSettings(BaseModel):
    """The parts around the network of a clip encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: int = Field(128, ge=1, description="length of an embedding")
    length_s: float = Field(1.0, gt=0, description="length of the clips, in seconds")
    frontend: FrontendSettings = Field(MfccSettings(), description="which features of the sound the network sees")
    mask: MaskSettings = Field(MaskSettings(), description="what of the features is hidden in training")

    @model_validator(mode="after")
    def _is_long_enough(self) -> Self:
        if self.samples <= self.frontend.points // 2 or not self.frontend.frames(self.samples):
            raise ValueError(f"length_s: {self.length_s} s are too short for a frame")
        return self

    @property
    def samples(self) -> int:
        """Samples of a clip."""
        return round(self.length_s * SAMPLE_RATE)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames of a clip, and numbers in a frame."""
        return self.frontend.frames(self.samples), self.frontend.features
