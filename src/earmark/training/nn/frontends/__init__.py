"""Frontends, which map waveforms to spectral features. A frontend is part of its encoder, at runtime too."""

from typing import Annotated

from earmark.core.config import TaggedUnion
from earmark.training.nn.frontends.log_mel import LogMelSettings
from earmark.training.nn.frontends.magnitude import MagnitudeSettings
from earmark.training.nn.frontends.mfcc import MfccSettings

FrontendSettings = Annotated[MfccSettings | LogMelSettings | MagnitudeSettings, TaggedUnion("mfcc")]

__all__ = ["FrontendSettings", "LogMelSettings", "MagnitudeSettings", "MfccSettings"]
