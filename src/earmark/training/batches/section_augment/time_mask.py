"""Moments that are lost."""

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.training.batches.section_augment.bernoulli import Probability, bernoulli, uniform


class TimeMaskSettings(Settings):
    """How often, how many and how long."""

    probability: Probability = 0.0
    longest_s: float = Field(0.05, ge=1 / SAMPLE_RATE, description="greatest length of a lost moment, in seconds")
    count: PositiveInt = Field(1, description="how many moments a wave loses")


def mask_time(wave: Tensor, settings: TimeMaskSettings, generator: torch.Generator) -> Tensor:
    """Silence moments anywhere in a wave, each of one sample up to the longest.

    Args:
        wave: shape (n,), n > 0.
        settings: how often, how many and how long.
        generator: source of randomness, on the CPU.

    Returns:
        Shape (n,).
    """
    if not bernoulli(settings.probability, generator):
        return wave
    wave = wave.clone()
    longest = min(round(settings.longest_s * SAMPLE_RATE), len(wave))
    for _ in range(settings.count):
        size = 1 + int(uniform(0, longest, generator))
        start = int(uniform(0, len(wave) - size + 1, generator))
        wave[start : start + size] = 0
    return wave
