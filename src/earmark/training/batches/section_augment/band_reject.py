"""A band of frequencies that is lost, as behind a bad telephone line."""

import torch
from pydantic import Field
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.training.batches.augment.room import convolve
from earmark.training.batches.section_augment.bernoulli import Probability, bernoulli, uniform
from earmark.training.batches.section_augment.padding import padded

_HALF = 512
"""Samples of the filter on each side of its middle, 32 ms: so far it may smear a sound, at some -60 dB."""
_BETA = 5.65
"""Of Kaiser's window: 60 dB, from 30 Hz inside of the band's edges on."""


class BandRejectSettings(Settings):
    """How often and how wide."""

    probability: Probability = 0.0
    widest: float = Field(
        27 / 256, gt=0, le=1, description="greatest width of the band, as a share of the mel axis up to 8 kHz"
    )


def reject_band(wave: Tensor, settings: BandRejectSettings, generator: torch.Generator) -> Tensor:
    """Take out a band of even width and place on the mel axis.

    Args:
        wave: shape (n,), n > 0.
        settings: how often and how wide.
        generator: source of randomness, on the CPU.

    Returns:
        Shape (n,). Bands narrower than 60 Hz are damped only.
    """
    if not bernoulli(settings.probability, generator):
        return wave
    width = uniform(0, settings.widest, generator)
    low = uniform(0, 1 - width, generator)
    taps = without_band(_hz(low), _hz(low + width)).to(wave.device)
    # The filter's middle is the instant of the sample itself.
    later = padded(torch.nn.functional.pad(wave, (0, _HALF)), len(taps))
    return convolve(later[None], taps[None])[0, _HALF : _HALF + len(wave)]


def without_band(low_hz: float, high_hz: float) -> Tensor:
    """The symmetric filter that lets pass what is not between two frequencies, shape (1025,)."""
    time = torch.arange(-_HALF, _HALF + 1, dtype=torch.float64)
    edges = (2 * low_hz / SAMPLE_RATE, 2 * high_hz / SAMPLE_RATE)
    below, above = (edge * torch.sinc(edge * time) for edge in edges)
    window = torch.kaiser_window(2 * _HALF + 1, periodic=False, beta=_BETA, dtype=torch.float64)
    taps = (below - above) * window
    taps[_HALF] += 1
    return taps.float()


def _hz(share: float) -> float:
    """The frequency at a share of the mel axis, of HTK's formula: 0 at 0 Hz, 1 at 8 kHz."""
    return 700 * ((1 + SAMPLE_RATE / 2 / 700) ** share - 1)
