"""Reverberation: measured and synthetic room impulse responses."""

from collections.abc import Sequence

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings


class RoomSettings(Settings):
    """Settings of reverberation: how often it is applied, and the properties of synthetic rooms."""

    probability: float = Field(0.4, ge=0, le=1, description="probability of reverberation")
    made: float = Field(0.6, ge=0, le=1, description="share of synthetic responses among measured ones")
    rt60_s: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.1, 0.6), description="range of the reverberation time of a synthetic room, in seconds"
    )
    direct_db: tuple[float, float] = Field(
        (-2.0, 15.0), description="range of the direct-to-reverberant ratio of a synthetic room, in dB"
    )


class Rooms:
    """Reverberates waves. An impulse response begins with its direct sound, so that waves are not delayed.

    Args:
        settings: reverberation settings.
        responses: measured impulse responses, each shape (n,); if there are none, all responses are synthetic.
        device: device of the batches.
    """

    size = SAMPLE_RATE // 2

    def __init__(self, settings: RoomSettings, responses: Sequence[Tensor], device: torch.device) -> None:
        self.settings = settings
        rows = [fit(response[int(response.abs().argmax()) :], self.size) for response in responses]
        self.measured = torch.stack(rows).to(device) if rows else None

    def __call__(self, waves: Tensor, generator: torch.Generator) -> Tensor:
        """Reverberate each wave of a batch, shape (batch, n), with the probability of the settings.

        A wave keeps its energy and its length.
        """
        inside = (
            (torch.rand(len(waves), generator=generator) < self.settings.probability).nonzero()[:, 0].to(waves.device)
        )
        if len(inside) == 0:
            return waves
        responses = self._draw(len(inside), generator).to(waves.device)
        wet = convolve(waves[inside], responses / responses.norm(dim=1, keepdim=True).clamp(min=1e-9))
        energy = waves[inside].square().sum(1) / wet.square().sum(1).clamp(min=1e-9)
        return waves.index_copy(0, inside, wet * energy.sqrt()[:, None])

    def _draw(self, count: int, generator: torch.Generator) -> Tensor:
        synthetic = self.synthesize(count, generator)
        if self.measured is None:
            return synthetic
        row = torch.randint(len(self.measured), (count,), generator=generator)
        is_synthetic = torch.rand(count, generator=generator) < self.settings.made
        return torch.where(is_synthetic[:, None], synthetic, self.measured.cpu()[row])

    def synthesize(self, count: int, generator: torch.Generator) -> Tensor:
        """Synthesize room impulse responses of half a second, shape (count, n).

        A response is the direct sound, followed by exponentially decaying noise (Polack's model).
        """

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, 1, generator=generator)

        time_s = torch.arange(self.size) / SAMPLE_RATE
        tail = torch.randn(count, self.size, generator=generator) * 10 ** (-3 * time_s / uniform(*self.settings.rt60_s))
        tail[:, : SAMPLE_RATE // 500] = 0
        response = tail / tail.norm(dim=1, keepdim=True) * 10 ** (-uniform(*self.settings.direct_db) / 20)
        response[:, 0] = 1
        return response


def fit(response: Tensor, size: int) -> Tensor:
    """Cut or zero-pad an impulse response of shape (n,) at its end, so that it has ``size`` samples."""
    return torch.nn.functional.pad(response[:size], (0, max(0, size - len(response))))


def convolve(waves: Tensor, responses: Tensor) -> Tensor:
    """Convolve each wave, shape (batch, n), with its response, shape (batch, m); the result is cut to n samples."""
    size = waves.shape[1] + responses.shape[1]
    return torch.fft.irfft(torch.fft.rfft(waves, n=size) * torch.fft.rfft(responses, n=size), n=size)[
        :, : waves.shape[1]
    ]
