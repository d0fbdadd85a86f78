"""Background noise at a true signal-to-noise ratio."""

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class NoiseSettings(BaseModel):
    """How often and how loud."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(0.75, ge=0, le=1, description="share of scenes that get noise")
    snr_db: tuple[float, float] = Field(
        (0.0, 30.0), description="range of the ratio of speech power to noise power, in dB"
    )
    colored: float = Field(
        0.25, ge=0, le=1, description="share of the noise that is made (white to brown), not recorded"
    )


class Noise:
    """Mixes a random piece of a random recording, or made noise, under each wave.

    Args:
        settings: how often and how loud.
        recordings: waves, each shape (n,); may be empty, then all noise is made.
        device: where the batches are.
    """

    def __init__(self, settings: NoiseSettings, recordings: Sequence[Tensor], device: torch.device) -> None:
        self.settings = settings
        self.recordings = torch.cat(list(recordings)).to(device) if recordings else None

    def __call__(self, waves: Tensor, spoken: Tensor, generator: torch.Generator) -> Tensor:
        """Add noise.

        Args:
            waves: shape (batch, n).
            spoken: first and last + 1 sample of each spoken part, shape (batch, 2).
            generator: source of randomness, on the CPU.

        Returns:
            Shape (batch, n). The SNR is that of the spoken part's mean power to the noise's mean power over the wave.
        """
        noise = self._draw(waves, generator)
        low, high = self.settings.snr_db
        snr_db = low + (high - low) * torch.rand(len(waves), generator=generator)
        present = torch.rand(len(waves), generator=generator) < self.settings.probability
        gain = gain_for_snr(spoken_power(waves, spoken), noise.square().mean(1), snr_db.to(waves.device))
        return waves + noise * (gain * present.to(waves.device))[:, None]

    def _draw(self, waves: Tensor, generator: torch.Generator) -> Tensor:
        batch, size = waves.shape
        made = colored_noise(batch, size, generator).to(waves.device)
        if self.recordings is None or len(self.recordings) <= size:
            return made
        start = torch.randint(len(self.recordings) - size, (batch,), generator=generator).to(waves.device)
        recorded = self.recordings[start[:, None] + torch.arange(size, device=waves.device)]
        is_made = torch.rand(batch, generator=generator).to(waves.device) < self.settings.colored
        return torch.where(is_made[:, None], made, recorded)


def colored_noise(batch: int, size: int, generator: torch.Generator) -> Tensor:
    """Noise whose power falls by 0 to 6 dB an octave (white to brown), shape (batch, size)."""
    spectrum = torch.fft.rfft(torch.randn(batch, size, generator=generator))
    slope = torch.rand(batch, 1, generator=generator)
    frequency = torch.arange(spectrum.shape[1]).clamp(min=max(1, size // 320))
    return torch.fft.irfft(spectrum * frequency**-slope, n=size)


def spoken_power(waves: Tensor, spoken: Tensor) -> Tensor:
    """Mean square of each wave between ``spoken[i, 0]`` and ``spoken[i, 1]``, shape (batch,)."""
    sample = torch.arange(waves.shape[1], device=waves.device)
    inside = (sample >= spoken[:, :1]) & (sample < spoken[:, 1:])
    return (waves.square() * inside).sum(1) / inside.sum(1).clamp(min=1)


def gain_for_snr(signal_power: Tensor, noise_power: Tensor, snr_db: Tensor) -> Tensor:
    """Factor that brings noise of a power to ``snr_db`` below a signal.

    >>> gain_for_snr(torch.tensor([4.0]), torch.tensor([1.0]), torch.tensor([0.0])).tolist()
    [2.0]
    """
    return (signal_power / noise_power.clamp(min=1e-12) * 10 ** (-snr_db / 10)).sqrt()
