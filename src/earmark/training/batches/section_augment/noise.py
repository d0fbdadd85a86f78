"""White noise with uniform samples, at a given signal-to-noise ratio."""

import torch
from pydantic import Field
from torch import Tensor

from earmark.core.config import Settings
from earmark.training.batches.augment.noise import gain_for_snr
from earmark.training.batches.augment.one_of import Range
from earmark.training.batches.section_augment.bernoulli import Probability, uniform


class UniformNoiseSettings(Settings):
    """Settings of white noise that is added to sections."""

    probability: Probability = 0.0
    snr_db: Range = Field((20.0, 29.0), description="range of the SNR, in dB")


def add_noise(wave: Tensor, settings: UniformNoiseSettings, generator: torch.Generator) -> Tensor:
    """Add white noise with uniform samples to a wave of shape (n,), n > 0. Digital silence stays silent."""
    snr_db = torch.tensor(uniform(*settings.snr_db, generator), device=wave.device)
    noise = (2 * torch.rand(len(wave), generator=generator) - 1).to(wave.device)
    return wave + noise * gain_for_snr(wave.square().mean(), noise.square().mean(), snr_db)
