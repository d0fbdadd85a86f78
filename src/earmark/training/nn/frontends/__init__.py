"""Frontends: waveform to spectral features, inside the network, so that training and runtime cannot drift."""

from typing import Annotated

from earmark.core.config import TaggedUnion
from earmark.training.nn.frontends.log_mel import LogMelSettings
from earmark.training.nn.frontends.magnitude import MagnitudeSettings
from earmark.training.nn.frontends.mfcc import MfccSettings

FrontendSettings = Annotated[MfccSettings | LogMelSettings | MagnitudeSettings, TaggedUnion("mfcc")]

__all__ = ["FrontendSettings", "LogMelSettings", "MagnitudeSettings", "MfccSettings"]
