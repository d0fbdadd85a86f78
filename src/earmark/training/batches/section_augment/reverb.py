"""Reverberation of single waves, for the augmentation of sections of speech."""

import torch
from pydantic import Field
from torch import Tensor

from earmark.training.batches.augment.room import Rooms, RoomSettings
from earmark.training.batches.section_augment.bernoulli import Probability
from earmark.training.batches.section_augment.padding import padded


class ReverbSettings(RoomSettings):
    """Settings of the reverberation of sections, with probability 0 by default."""

    probability: Probability = 0.0
    made: float = Field(
        0.6, ge=0, le=1, description="share of synthetic responses among measured ones; 1 where there are none"
    )


def reverberate(wave: Tensor, rooms: Rooms, generator: torch.Generator) -> Tensor:
    """Reverberate a wave with the probability of the settings; energy and timing of the direct sound are kept.

    Args:
        wave: shape (n,), n > 0.
        rooms: room responses and their settings.
        generator: source of randomness, on the CPU.

    Returns:
        Shape (n,).
    """
    return rooms(padded(wave, Rooms.size)[None], generator)[0, : len(wave)]
