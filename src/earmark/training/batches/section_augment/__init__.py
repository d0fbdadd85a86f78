"""What makes a lesson of sections harder and leaves every sample at its instant: one effect a file.

They come in the order of nature: a voice of another pitch sounds in a room, noise joins it, and the way to the
listener loses a band and moments. Kharitonov et al. (2021, "Data augmenting contrastive learning of speech
representations in the time domain") found these to help; Algayres et al. (2022) have them, but switched off.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from earmark.core.config import Settings
from earmark.training.batches.augment.room import Rooms
from earmark.training.batches.section_augment.band_reject import BandRejectSettings, reject_band
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
    """Which effects happen how often; none, if nothing is said."""

    pitch: PitchSettings = PitchSettings()
    reverb: ReverbSettings = ReverbSettings()
    noise: UniformNoiseSettings = UniformNoiseSettings()
    band_reject: BandRejectSettings = BandRejectSettings()
    time_drop: TimeMaskSettings = TimeMaskSettings()

    @property
    def is_active(self) -> bool:
        """Whether anything ever happens."""
        return any(
            effect.probability for effect in (self.pitch, self.reverb, self.noise, self.band_reject, self.time_drop)
        )


class SectionAugmentation:
    """SectionAugmentation on a batch of waves; each row draws its own.

    A row's draws come from a seed of its own: they do not depend on the other rows, nor on how far it is padded.

    Args:
        settings: what happens how often.
        device: where the effects are computed.
        responses: measured room impulse responses, each shape (n,); without any, all rooms are made.
    """

    def __init__(
        self, settings: SectionAugmentSettings, device: torch.device, responses: Sequence[Tensor] = ()
    ) -> None:
        self.settings = settings
        self.device = device
        # Rooms are drawn on the CPU, a row at a time, so that measured ones have to be there.
        self.rooms = Rooms(settings.reverb, [response.cpu() for response in responses], torch.device("cpu"))

    @property
    def is_active(self) -> bool:
        """Whether anything ever happens."""
        return self.settings.is_active

    @torch.no_grad()
    def __call__(self, waves: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Draw effects and let them happen.

        Args:
            waves: shape (batch, n), 16 kHz, on any device; they stay as they are.
            lengths: samples of each row, shape (batch,); what stands after them stays as it is.
            generator: source of randomness, on the CPU.

        Returns:
            Shape (batch, n), on the device of the effects. Only where nothing is active, these are the waves given.
        """
        if not self.is_active:
            return waves.to(self.device)
        seeds = torch.randint(1 << 32, (len(waves),), generator=generator)
        own = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        waves = shift_pitch(waves.to(self.device, copy=True), lengths, self.settings.pitch, own)
        for wave, length, mine in zip(waves, lengths.tolist(), own, strict=True):
            if length:
                wave[:length] = self._heard(wave[:length], mine)
        return waves

    def _heard(self, wave: Tensor, generator: torch.Generator) -> Tensor:
        """All effects but that on pitch, on a wave of shape (n,)."""
        wave = reverberate(wave, self.rooms, generator)
        wave = add_noise(wave, self.settings.noise, generator)
        wave = reject_band(wave, self.settings.band_reject, generator)
        return mask_time(wave, self.settings.time_drop, generator)
