"""Random time masking of a waveform."""

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.training.batches.section_augment.bernoulli import Probability, uniform


class TimeMaskSettings(Settings):
    """Settings of the random time intervals of a wave that are set to zero."""

    probability: Probability = 0.0
    longest_s: float = Field(0.05, ge=1 / SAMPLE_RATE, description="maximum length of a mask, in seconds")
    count: PositiveInt = Field(1, description="number of masks per wave")


def mask_time(wave: Tensor, settings: TimeMaskSettings, generator: torch.Generator) -> Tensor:
    """Set random time intervals of a wave of shape (n,), n > 0, to zero; an interval has at least one sample."""
    wave = wave.clone()
    longest = min(round(settings.longest_s * SAMPLE_RATE), len(wave))
    for _ in range(settings.count):
        size = 1 + int(uniform(0, longest, generator))
        start = int(uniform(0, len(wave) - size + 1, generator))
        wave[start : start + size] = 0
    return wave
