"""Augmentation of sections for sequence recipes: effects that keep the timing of every sample.

The order is physical: pitch, room, noise, then a rejected band and time masks. Kharitonov et al. (2021, "Data
augmenting contrastive learning of speech representations in the time domain") found that these effects help. Algayres
et al. (2022) implement them, but switch them off. For clips and scenes, see `augment`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from earmark.core.config import Settings
from earmark.training.batches.augment.room import Rooms
from earmark.training.batches.section_augment.band_reject import BandRejectSettings, reject_band
from earmark.training.batches.section_augment.bernoulli import bernoulli
from earmark.training.batches.section_augment.noise import UniformNoiseSettings, add_noise
from earmark.training.batches.section_augment.pitch import PitchSettings, shift_pitch
from earmark.training.batches.section_augment.reverb import ReverbSettings, reverberate
from earmark.training.batches.section_augment.time_mask import TimeMaskSettings, mask_time

__all__ = [
    "BandRejectSettings",
    "PitchSettings",
    "ReverbSettings",
    "SectionAugmentSettings",
    "SectionAugmentation",
    "TimeMaskSettings",
    "UniformNoiseSettings",
]


class SectionAugmentSettings(Settings):
    """Settings of the effects on sections; by default, all have probability 0."""

    pitch: PitchSettings = PitchSettings()
    reverb: ReverbSettings = ReverbSettings()
    noise: UniformNoiseSettings = UniformNoiseSettings()
    band_reject: BandRejectSettings = BandRejectSettings()
    time_drop: TimeMaskSettings = TimeMaskSettings()

    @property
    def is_active(self) -> bool:
        """Whether any effect has a probability above 0."""
        return any(
            effect.probability for effect in (self.pitch, self.reverb, self.noise, self.band_reject, self.time_drop)
        )


class SectionAugmentation:
    """Augments a batch of waves, each row with its own random choices.

    A row has its own seed: its effects do not depend on the other rows, nor on its padding.

    Args:
        settings: settings of all effects.
        device: device of the effects.
        responses: measured room impulse responses, each shape (n,); if there are none, all rooms are synthetic.
    """

    def __init__(
        self, settings: SectionAugmentSettings, device: torch.device, responses: Sequence[Tensor] = ()
    ) -> None:
        self.settings = settings
        self.device = device
        # Rooms are drawn on the CPU, row by row.
        self.rooms = Rooms(settings.reverb, [response.cpu() for response in responses], torch.device("cpu"))

    @property
    def is_active(self) -> bool:
        """Whether any effect has a probability above 0."""
        return self.settings.is_active

    @torch.no_grad()
    def __call__(self, waves: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Choose the effects of each row of a batch at random, and apply them.

        Args:
            waves: shape (batch, n), 16 kHz, on any device; not changed.
            lengths: samples of each row, shape (batch,); samples beyond them are not changed.
            generator: source of randomness, on the CPU.

        Returns:
            Shape (batch, n), on the device of the effects; if no effect is active, the waves are not copied.
        """
        if not self.is_active:
            return waves.to(self.device)
        seeds = torch.randint(1 << 32, (len(waves),), generator=generator)
        own = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        waves = shift_pitch(waves.to(self.device, copy=True), lengths, self.settings.pitch, own)
        for wave, length, mine in zip(waves, lengths.tolist(), own, strict=True):
            if length:
                wave[:length] = self._apply(wave[:length], mine)
        return waves

    def _apply(self, wave: Tensor, generator: torch.Generator) -> Tensor:
        """Apply the effects after the pitch shift to a wave of shape (n,): room, noise, rejected band, time masks."""
        wave = reverberate(wave, self.rooms, generator)
        if bernoulli(self.settings.noise.probability, generator):
            wave = add_noise(wave, self.settings.noise, generator)
        if bernoulli(self.settings.band_reject.probability, generator):
            wave = reject_band(wave, self.settings.band_reject, generator)
        if bernoulli(self.settings.time_drop.probability, generator):
            wave = mask_time(wave, self.settings.time_drop, generator)
        return wave
