"""Background noise at a given signal-to-noise ratio."""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from earmark.core.config import Settings


class NoiseSettings(Settings):
    """Settings of background noise: how often it is added, how loud, and whether recorded or synthetic."""

    probability: float = Field(0.75, ge=0, le=1, description="probability of noise in a scene")
    snr_db: tuple[float, float] = Field(
        (0.0, 30.0), description="range of the ratio of speech power to noise power, in dB"
    )
    colored: float = Field(
        0.25, ge=0, le=1, description="share of synthetic noise (white to brown) among recorded noise"
    )


class Noise:
    """Adds noise to waves: a random part of the recordings, or synthetic noise.

    Args:
        settings: noise settings.
        recordings: waves, each shape (n,); if there are none, all noise is synthetic.
        device: device of the batches.
    """

    def __init__(self, settings: NoiseSettings, recordings: Sequence[Tensor], device: torch.device) -> None:
        self.settings = settings
        self.recordings = torch.cat(list(recordings)).to(device) if recordings else None

    def __call__(self, waves: Tensor, spoken: Tensor, generator: torch.Generator) -> Tensor:
        """Add noise to each wave with the probability of the settings.

        Args:
            waves: shape (batch, n).
            spoken: first and last + 1 sample of each spoken part, shape (batch, 2).
            generator: source of randomness, on the CPU.

        Returns:
            Shape (batch, n). The SNR is the ratio of the mean power of the spoken part to that of the noise.
        """
        noise = self._draw(waves, generator)
        low, high = self.settings.snr_db
        snr_db = low + (high - low) * torch.rand(len(waves), generator=generator)
        present = torch.rand(len(waves), generator=generator) < self.settings.probability
        gain = gain_for_snr(spoken_power(waves, spoken), noise.square().mean(1), snr_db.to(waves.device))
        return waves + noise * (gain * present.to(waves.device))[:, None]

    def _draw(self, waves: Tensor, generator: torch.Generator) -> Tensor:
        batch, size = waves.shape
        synthetic = colored_noise(batch, size, generator).to(waves.device)
        if self.recordings is None or len(self.recordings) <= size:
            return synthetic
        start = torch.randint(len(self.recordings) - size, (batch,), generator=generator).to(waves.device)
        recorded = self.recordings[start[:, None] + torch.arange(size, device=waves.device)]
        is_synthetic = torch.rand(batch, generator=generator).to(waves.device) < self.settings.colored
        return torch.where(is_synthetic[:, None], synthetic, recorded)


def colored_noise(batch: int, size: int, generator: torch.Generator) -> Tensor:
    """Synthesize noise whose power falls by 0 to 6 dB per octave (white to brown), shape (batch, size)."""
    spectrum = torch.fft.rfft(torch.randn(batch, size, generator=generator))
    slope = torch.rand(batch, 1, generator=generator)
    frequency = torch.arange(spectrum.shape[1]).clamp(min=max(1, size // 320))
    return torch.fft.irfft(spectrum * frequency**-slope, n=size)


def spoken_power(waves: Tensor, spoken: Tensor) -> Tensor:
    """Compute the mean power of the spoken part of each wave, shape (batch,).

    Args:
        waves: shape (batch, n).
        spoken: first and last + 1 sample of each spoken part, shape (batch, 2).
    """
    sample = torch.arange(waves.shape[1], device=waves.device)
    inside = (sample >= spoken[:, :1]) & (sample < spoken[:, 1:])
    return (waves.square() * inside).sum(1) / inside.sum(1).clamp(min=1)


def gain_for_snr(signal_power: Tensor, noise_power: Tensor, snr_db: Tensor) -> Tensor:
    """Compute the gain that scales noise to a power ``snr_db`` decibels below that of a signal.

    >>> gain_for_snr(torch.tensor([4.0]), torch.tensor([1.0]), torch.tensor([0.0])).tolist()
    [2.0]
    """
    return (signal_power / noise_power.clamp(min=1e-12) * 10 ** (-snr_db / 10)).sqrt()
