"""Augmentation of batches of waves on the training device: one effect a file, drawn from one generator.

Two ways: in the field, where all effects come in the order of nature (the word sounds in a room, noise joins it, a
microphone colors and scales the sum), and one effect a clip, as published keyword systems do it.
"""

from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from earmark.core.tagged_union import by_kind
from earmark.training.batches.augment.microphone import MicrophoneSettings, through_microphone
from earmark.training.batches.augment.noise import Noise, NoiseSettings
from earmark.training.batches.augment.one_of import OneOf, OneOfSettings
from earmark.training.batches.augment.room import Rooms, RoomSettings
from earmark.training.batches.scenes import SceneBatch

__all__ = [
    "AugmentSettings",
    "Augmentation",
    "FieldSettings",
    "MicrophoneSettings",
    "NoiseSettings",
    "OneOf",
    "OneOfSettings",
    "RoomSettings",
]


class FieldSettings(BaseModel):
    """All effects, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["field"] = Field("field", description="every effect, in the order of nature")

    room: RoomSettings = RoomSettings()
    noise: NoiseSettings = NoiseSettings()
    microphone: MicrophoneSettings = MicrophoneSettings()


AugmentSettings = Annotated[FieldSettings | OneOfSettings, by_kind("field")]


class Augmentation:
    """Room, noise and microphone for batches of scenes.

    Args:
        settings: what is drawn.
        noise: waves of noise, each shape (n,).
        responses: room impulse responses, each shape (n,).
        device: where the batches are.
    """

    def __init__(
        self, settings: FieldSettings, noise: list[Tensor], responses: list[Tensor], device: torch.device
    ) -> None:
        self.settings = settings
        self.rooms = Rooms(settings.room, responses, device)
        self.noise = Noise(settings.noise, noise, device)

    def __call__(self, scenes: SceneBatch, generator: torch.Generator) -> Tensor:
        """The waves as a microphone in a room hears them, shape (batch, n)."""
        waves = self.rooms(scenes.waves, generator)
        waves = self.noise(waves, scenes.spoken, generator)
        return through_microphone(waves, scenes.spoken, self.settings.microphone, generator)
