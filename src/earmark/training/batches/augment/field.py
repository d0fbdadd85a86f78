"""Field augmentation: reverberation, then noise, then a microphone's response, level and clipping."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from earmark.core.config import Settings
from earmark.training.batches.augment.audio import AugmentationAudio
from earmark.training.batches.augment.microphone import MicrophoneSettings, through_microphone
from earmark.training.batches.augment.noise import Noise, NoiseSettings
from earmark.training.batches.augment.room import Rooms, RoomSettings
from earmark.training.batches.scenes import SceneBatch


class FieldSettings(Settings):
    """Settings of the three effects of field augmentation: room, noise and microphone, applied in this order."""

    kind: Literal["field"] = Field("field", description="room, noise and microphone, in this order")
    room: RoomSettings = RoomSettings()
    noise: NoiseSettings = NoiseSettings()
    microphone: MicrophoneSettings = MicrophoneSettings()

    def build(self, audio: AugmentationAudio, device: torch.device) -> "FieldAugmentation":
        """Build the augmentation with these settings; `audio` has its noise and its room impulse responses."""
        return FieldAugmentation(self, audio, device)


class FieldAugmentation:
    """Applies reverberation, noise and a microphone's response to scenes.

    Args:
        settings: settings of all effects.
        audio: noise and room impulse responses; if there are none, they are synthesized.
        device: device of the batches.
    """

    def __init__(self, settings: FieldSettings, audio: AugmentationAudio, device: torch.device) -> None:
        self.settings = settings
        self.rooms = Rooms(settings.room, audio.rooms, device)
        self.noise = Noise(settings.noise, audio.noise, device)

    def __call__(self, scenes: SceneBatch, generator: torch.Generator) -> Tensor:
        """Reverberate the scenes, add noise, and filter them by a microphone; return waves, shape (batch, n)."""
        waves = self.rooms(scenes.waves, generator)
        waves = self.noise(waves, scenes.spoken, generator)
        return through_microphone(waves, scenes.spoken, self.settings.microphone, generator)

    def augment_clips(
        self, draw: Callable[[slice], Tensor], count: int, rows: slice, generator: torch.Generator
    ) -> Tensor:
        """Draw a batch of clips, apply all effects to it, and return the augmented waves of some of its rows.

        Args:
            draw: function that returns some rows of the batch, shape (rows, n).
            count: number of clips in the batch.
            rows: the rows to augment.
            generator: source of randomness, on the CPU.

        Returns:
            Waves of these rows, shape (rows, n).
        """
        waves = draw(slice(None))
        whole = torch.tensor([0, waves.shape[1]], device=waves.device).expand(count, 2)
        return self(SceneBatch(waves, whole), generator)[rows]
