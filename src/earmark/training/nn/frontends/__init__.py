"""Frontends: from waveform to spectral frames, inside the network, so that training and runtime cannot drift."""

from typing import Annotated

from torch import nn

from earmark.core.tagged_union import by_kind
from earmark.training.nn.frontends.log_mel import ClipLogMel, LogMelSettings
from earmark.training.nn.frontends.magnitude import Magnitude, MagnitudeSettings
from earmark.training.nn.frontends.mfcc import Mfcc, MfccSettings

FrontendSettings = Annotated[
    MfccSettings | LogMelSettings | MagnitudeSettings,
    by_kind("mfcc"),
]

__all__ = ["FrontendSettings", "LogMelSettings", "MagnitudeSettings", "MfccSettings", "build_frontend"]


def build_frontend(settings: MfccSettings | LogMelSettings | MagnitudeSettings) -> nn.Module:
    """The frontend that the settings describe: waves of shape (batch, n) to features of shape (batch, t, f)."""
    match settings:
        case MfccSettings():
            return Mfcc(settings)
        case LogMelSettings():
            return ClipLogMel(settings)
        case MagnitudeSettings():
            return Magnitude(settings)
