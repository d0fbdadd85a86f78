"""Rooms for whole sections."""

import torch
from pydantic import Field
from torch import Tensor

from earmark.training.batches.augment.room import Rooms, RoomSettings
from earmark.training.batches.section_augment.bernoulli import Probability
from earmark.training.batches.section_augment.padding import padded


class ReverbSettings(RoomSettings):
    """How often, and in which rooms."""

    probability: Probability = 0.0
    made: float = Field(
        0.6, ge=0, le=1, description="share of the rooms that are made, not measured; all, where none was measured"
    )


def reverberate(wave: Tensor, rooms: Rooms, generator: torch.Generator) -> Tensor:
    """Put a wave into a room, or not; its energy stays, and its direct sound stays at its instant.

    Args:
        wave: shape (n,), n > 0.
        rooms: which, and how often.
        generator: source of randomness, on the CPU.

    Returns:
        Shape (n,).
    """
    return rooms(padded(wave, Rooms.size)[None], generator)[0, : len(wave)]
