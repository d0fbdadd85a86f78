"""Reverberation: measured room impulse responses, and made ones for rooms that nobody measured."""

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE


class RoomSettings(BaseModel):
    """How often, and in which rooms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(0.4, ge=0, le=1, description="share of scenes that sound in a room")
    made: float = Field(0.6, ge=0, le=1, description="share of the rooms that are made, not measured")
    rt60_s: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.1, 0.6), description="range of a made room's reverberation time, in seconds"
    )
    direct_db: tuple[float, float] = Field(
        (-2.0, 15.0), description="range of a made room's direct-to-reverberant ratio, in dB"
    )


class Rooms:
    """Convolves waves with impulse responses, aligned so that the direct sound stays where it was.

    Args:
        settings: how often, and in which rooms.
        responses: measured impulse responses, each shape (n,); may be empty, then all rooms are made.
        device: where the batches are.
    """

    size = SAMPLE_RATE // 2

    def __init__(self, settings: RoomSettings, responses: Sequence[Tensor], device: torch.device) -> None:
        self.settings = settings
        rows = [fit(response[int(response.abs().argmax()) :], self.size) for response in responses]
        self.measured = torch.stack(rows).to(device) if rows else None

    def __call__(self, waves: Tensor, generator: torch.Generator) -> Tensor:
        """Put some of the waves, shape (batch, n), into rooms; their energy stays."""
        inside = (
            (torch.rand(len(waves), generator=generator) < self.settings.probability).nonzero()[:, 0].to(waves.device)
        )
        if len(inside) == 0:
            return waves
        responses = self._draw(len(inside), generator).to(waves.device)
        heard = convolve(waves[inside], responses / responses.norm(dim=1, keepdim=True).clamp(min=1e-9))
        energy = waves[inside].square().sum(1) / heard.square().sum(1).clamp(min=1e-9)
        return waves.index_copy(0, inside, heard * energy.sqrt()[:, None])

    def _draw(self, count: int, generator: torch.Generator) -> Tensor:
        made = self._made(count, generator)
        if self.measured is None:
            return made
        row = torch.randint(len(self.measured), (count,), generator=generator)
        is_made = torch.rand(count, generator=generator) < self.settings.made
        return torch.where(is_made[:, None], made, self.measured.cpu()[row])

    def _made(self, count: int, generator: torch.Generator) -> Tensor:
        """Exponentially decaying noise behind a direct sound (Polack's model), shape (count, size)."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, 1, generator=generator)

        time_s = torch.arange(self.size) / SAMPLE_RATE
        tail = torch.randn(count, self.size, generator=generator) * 10 ** (-3 * time_s / uniform(*self.settings.rt60_s))
        tail[:, : SAMPLE_RATE // 500] = 0
        response = tail / tail.norm(dim=1, keepdim=True) * 10 ** (-uniform(*self.settings.direct_db) / 20)
        response[:, 0] = 1
        return response


def fit(response: Tensor, size: int) -> Tensor:
    """Cut or zero-pad to ``size`` samples."""
    return torch.nn.functional.pad(response[:size], (0, max(0, size - len(response))))


def convolve(waves: Tensor, responses: Tensor) -> Tensor:
    """Row-wise convolution cut to the waves' length: (batch, n) with (batch, m) gives (batch, n)."""
    size = waves.shape[1] + responses.shape[1]
    return torch.fft.irfft(torch.fft.rfft(waves, n=size) * torch.fft.rfft(responses, n=size), n=size)[
        :, : waves.shape[1]
    ]
