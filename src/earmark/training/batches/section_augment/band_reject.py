"""Band rejection: removes a random frequency band from a wave."""

import torch
from pydantic import Field
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.training.batches.augment.room import convolve
from earmark.training.batches.section_augment.bernoulli import Probability, uniform
from earmark.training.batches.section_augment.padding import padded

_HALF = 512
"""Half the length of the filter, 32 ms: the extent of its ringing, at about -60 dB."""
_BETA = 5.65
"""Shape of the Kaiser window: 60 dB of rejection, from 30 Hz inside the edges of the band."""


class BandRejectSettings(Settings):
    """Settings of the removal of a random frequency band."""

    probability: Probability = 0.0
    widest: float = Field(
        27 / 256, gt=0, le=1, description="maximum width of the band, as a share of the mel axis up to 8 kHz"
    )


def reject_band(wave: Tensor, settings: BandRejectSettings, generator: torch.Generator) -> Tensor:
    """Remove a random frequency band from a wave of shape (n,), n > 0.

    Width and position of the band are uniformly distributed on the mel axis. A band narrower than 60 Hz is only
    attenuated.
    """
    width = uniform(0, settings.widest, generator)
    low = uniform(0, 1 - width, generator)
    taps = without_band(_hz(low), _hz(low + width)).to(wave.device)
    # The filter is symmetric and does not shift the wave.
    longer = padded(torch.nn.functional.pad(wave, (0, _HALF)), len(taps))
    return convolve(longer[None], taps[None])[0, _HALF : _HALF + len(wave)]


def without_band(low_hz: float, high_hz: float) -> Tensor:
    """Compute a symmetric FIR filter that removes the frequencies between two edges, shape (1025,)."""
    time = torch.arange(-_HALF, _HALF + 1, dtype=torch.float64)
    edges = (2 * low_hz / SAMPLE_RATE, 2 * high_hz / SAMPLE_RATE)
    below, above = (edge * torch.sinc(edge * time) for edge in edges)
    window = torch.kaiser_window(2 * _HALF + 1, periodic=False, beta=_BETA, dtype=torch.float64)
    taps = (below - above) * window
    taps[_HALF] += 1
    return taps.float()


def _hz(share: float) -> float:
    """Convert a position on the HTK mel axis to Hz: position 0 is 0 Hz, position 1 is 8 kHz."""
    return 700 * ((1 + SAMPLE_RATE / 2 / 700) ** share - 1)
