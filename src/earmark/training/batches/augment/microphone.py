"""Simulation of a microphone: a random frequency response, a random level, and clipping."""

import torch
from pydantic import Field
from torch import Tensor

from earmark.core.config import Settings
from earmark.training.batches.augment.noise import spoken_power


class MicrophoneSettings(Settings):
    """Settings of a simulated microphone: its random frequency response and its level."""

    tilt_db: float = Field(
        3.0, ge=0, description="maximum spectral tilt around 1 kHz in either direction, in dB per octave"
    )
    ripple_db: float = Field(3.0, ge=0, description="standard deviation of a smooth random response, in dB")
    level_db: tuple[float, float] = Field(
        (-40.0, -8.0), description="range of the spoken part's RMS level, in dB of full scale"
    )


def through_microphone(
    waves: Tensor, spoken: Tensor, settings: MicrophoneSettings, generator: torch.Generator
) -> Tensor:
    """Filter waves with random responses, scale their spoken parts to a random level, and clip.

    Args:
        waves: shape (batch, n).
        spoken: first and last + 1 sample of each spoken part, shape (batch, 2).
        settings: response and level.
        generator: source of randomness, on the CPU.

    Returns:
        Shape (batch, n), in [-1, 1].
    """
    batch, size = waves.shape
    bins = size // 2 + 1
    octave = torch.log2(torch.arange(bins).clamp(min=1) * 16_000 / size / 1000).clamp(-4, 2)
    tilt = settings.tilt_db * (2 * torch.rand(batch, 1, generator=generator) - 1) * octave
    knots = settings.ripple_db * torch.randn(batch, 1, 12, generator=generator)
    ripple = torch.nn.functional.interpolate(knots, size=bins, mode="linear", align_corners=True)[:, 0]
    response = (10 ** ((tilt + ripple) / 20)).to(waves.device)
    colored = torch.fft.irfft(torch.fft.rfft(waves) * response, n=size)
    low, high = settings.level_db
    level_db = (low + (high - low) * torch.rand(batch, generator=generator)).to(waves.device)
    gain = 10 ** (level_db / 20) / spoken_power(colored, spoken).sqrt().clamp(min=1e-6)
    return (colored * gain[:, None]).clamp(-1, 1)
