"""Masks over stretches of time and frequency: SpecAugment (Park et al. 2019, arXiv 1904.08779), without its warping."""

from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn


class MaskSettings(BaseModel):
    """How much of its features a clip loses in training; without masks, nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_masks: int = Field(0, ge=0, description="stretches of time masked in each clip")
    time_frames: int = Field(0, ge=0, description="most frames in a stretch of time; its length is uniform from 0 on")
    frequency_masks: int = Field(0, ge=0, description="stretches of frequency masked in each clip")
    frequency_bands: int = Field(0, ge=0, description="most bands in a stretch of frequency; uniform from 0 on")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for count, most in (("time_masks", "time_frames"), ("frequency_masks", "frequency_bands")):
            if bool(getattr(self, count)) != bool(getattr(self, most)):
                raise ValueError(f"{count}, {most}: one is 0 and the other is not; set both, or neither")
        return self


class Masks(nn.Module):
    """Masks drawn anew for each clip, in training mode only, by torch's own generator, as dropout does it.

    Each mask has a width uniform over 0 … the most and a place uniform over those where it fits. What it hides is
    replaced by the mean of the batch, band by band: nothing of the clip itself, and nothing out of the ordinary.
    (The paper's mean of 0 is that of features normalized beforehand.)
    """

    def __init__(self, settings: MaskSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, features: Tensor) -> Tensor:
        """Mask features of shape (batch, t, f), which stay as they are."""
        settings = self.settings
        if not self.training or not (settings.time_masks or settings.frequency_masks):
            return features
        batch, frames, bands = features.shape
        device = features.device
        hidden = torch.zeros(batch, frames, bands, dtype=torch.bool, device=device)
        if settings.time_masks:
            hidden |= _stretches(batch, settings.time_masks, settings.time_frames, frames, device)[:, :, None]
        if settings.frequency_masks:
            hidden |= _stretches(batch, settings.frequency_masks, settings.frequency_bands, bands, device)[:, None]
        return torch.where(hidden, features.detach().mean(dim=(0, 1)), features)


def _stretches(batch: int, count: int, most: int, length: int, device: torch.device) -> Tensor:
    """Which of ``length`` places lie in one of ``count`` random stretches, shape (batch, length)."""
    share = torch.rand(2, batch, count, 1, device=device)
    width = (share[0] * (min(most, length) + 1)).floor()
    begin = (share[1] * (length - width + 1)).floor()
    place = torch.arange(length, device=device)
    return ((place >= begin) & (place < begin + width)).any(dim=1)
