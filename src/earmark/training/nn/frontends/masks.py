"""Time and frequency masks: SpecAugment (Park et al. 2019, arXiv 1904.08779) without time warping."""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.core.config import Settings


class MaskSettings(Settings):
    """Settings of time and frequency masks in training: their numbers and sizes; by default, there are none."""

    time_masks: int = Field(0, ge=0, description="time masks per clip")
    time_frames: int = Field(0, ge=0, description="maximum frames of a time mask; uniform from 0")
    frequency_masks: int = Field(0, ge=0, description="frequency masks per clip")
    frequency_bands: int = Field(0, ge=0, description="maximum bands of a frequency mask; uniform from 0")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for count, most in (("time_masks", "time_frames"), ("frequency_masks", "frequency_bands")):
            if bool(getattr(self, count)) != bool(getattr(self, most)):
                raise ValueError(f"{count}, {most}: only one of these keys is above 0; set both above 0, or both to 0")
        return self


class Masks(nn.Module):
    """Random masks over the features of each clip, in training mode only.

    Like dropout, masks are drawn by torch's global generator. The width of a mask is uniform from 0 to the maximum, and
    its position is uniform where it fits. Masked features become the mean of the band over the batch. (The paper masks
    with 0, the mean of its normalized features.)
    """

    def __init__(self, settings: MaskSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, features: Tensor) -> Tensor:
        """Replace random time and frequency intervals of features, shape (batch, t, f), in a copy of them."""
        settings = self.settings
        if not self.training or not (settings.time_masks or settings.frequency_masks):
            return features
        batch, frames, bands = features.shape
        device = features.device
        masked = torch.zeros(batch, frames, bands, dtype=torch.bool, device=device)
        if settings.time_masks:
            masked |= _random_mask(batch, settings.time_masks, settings.time_frames, frames, device)[:, :, None]
        if settings.frequency_masks:
            masked |= _random_mask(batch, settings.frequency_masks, settings.frequency_bands, bands, device)[:, None]
        return torch.where(masked, features.detach().mean(dim=(0, 1)), features)


def _random_mask(batch: int, count: int, most: int, length: int, device: torch.device) -> Tensor:
    """Draw ``count`` random intervals of up to ``most`` of ``length`` positions for each clip of a batch.

    Returns:
        Whether each position is in an interval, bool, shape (batch, length).
    """
    share = torch.rand(2, batch, count, 1, device=device)
    width = (share[0] * (min(most, length) + 1)).floor()
    begin = (share[1] * (length - width + 1)).floor()
    position = torch.arange(length, device=device)
    return ((position >= begin) & (position < begin + width)).any(dim=1)
