"""Center crops: clips of one length with the word in the middle, as in the published keyword systems."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.training.batches.bank_crops import STEP, BankCrops
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.recordings import Crops, Recordings
from earmark.training.batches.threads import share_rows

SILENCE = -1
"""Clip number of a silence clip in `CenterCrops`."""


class CenterCropSettings(Settings):
    """Settings of center crops, which are clips of one length with the word in the middle.

    The defaults are those of Jung et al. (2023); Huh et al. (2021) shift 20 % of the clips by up to ± 0.2 s.
    """

    kind: Literal["center_crop"] = Field(
        "center_crop", description="center crops: clips of one length, the word in the middle"
    )
    length_s: PositiveFloat = Field(
        1.0,
        description="length of a crop, in seconds; a shorter clip is zero-padded on both sides, a longer one cropped",
    )
    shift_s: float = Field(0.0, ge=0, description="maximum time shift in either direction, in seconds")
    shift_probability: float = Field(0.0, ge=0, le=1, description="probability of a time shift")
    silence_gain: tuple[float, float] = Field(
        (0.0, 0.0), description="range of the gain of noise in silence clips; (0, 0): digital silence"
    )

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        low, high = self.silence_gain
        if not 0 <= low <= high:
            raise ValueError(
                f"silence_gain: ({low:g}, {high:g}) is not an ascending range from 0 on; give the lower gain first"
            )
        if self.shift_s > self.length_s:
            raise ValueError(
                f"shift_s: {self.shift_s:g} s is more than length_s, {self.length_s:g} s; choose a smaller shift"
            )
        return self

    def build(self, bank: ClipBank, noise: Sequence[Tensor], device: torch.device) -> "CenterCrops":
        """Build the class that draws center crops from a bank.

        Args:
            bank: clip bank.
            noise: recordings for silence clips, each shape (n,).
            device: device of the crops.
        """
        return CenterCrops(bank, self, device, noise)


@dataclass(frozen=True)
class CenterCropPlan:
    """Which samples of a clip bank each wave of a batch consists of, with the random choices already made.

    Sample ``at + i`` of a wave is the bank's sample ``begin + i``, for i from 0 to ``count - 1``; all others are zero.

    Attributes:
        begin: first sample in the bank, int64, shape (batch,).
        at: position of this sample in the wave, int64, shape (batch,).
        count: number of samples from the bank, int64, shape (batch,); 0 for silence.
        crops: noise of silence clips; not used for other clips.
        gain: gain of the noise, shape (batch,); 0 for other clips.
    """

    begin: Tensor
    at: Tensor
    count: Tensor
    crops: Crops
    gain: Tensor

    def __len__(self) -> int:
        return len(self.begin)


class CenterCrops(BankCrops[CenterCropPlan]):
    """Draws center crops from a clip bank: waves of one length with the clip in the middle.

    Args:
        bank: clip bank.
        settings: crop settings.
        device: device of the waves, see `BankCrops`.
        noise: recordings for silence clips, each shape (n,).

    Raises:
        InputError: ``silence_gain`` is above 0, but there is no noise.
    """

    def __init__(
        self, bank: ClipBank, settings: CenterCropSettings, device: torch.device, noise: Sequence[Tensor]
    ) -> None:
        if settings.silence_gain[1] > 0 and not noise:
            raise InputError(
                "data.noise: silence clips with noise need recordings, but there are none; name some, or set "
                "scenes.silence_gain = [0, 0]"
            )
        super().__init__(bank, settings.length_s, device)
        self.settings = settings
        self.noise = Recordings(noise, device)

    def plan(self, clips: Tensor, generator: torch.Generator) -> CenterCropPlan:
        """Choose a time shift for each clip, and noise for silence clips, which have the number ``SILENCE``.

        Arguments are those of `BankCrops.plan`.
        """
        batch, options = len(clips), self.settings
        silent = clips < 0
        number = clips.clamp(min=0)
        length = self.length[number]
        margin = self.size - length
        before = margin.clamp(min=0) // 2
        cut = (-margin).clamp(min=0) // 2
        kept = length.clamp(max=self.size)
        limit = round(options.shift_s * SAMPLE_RATE)
        shift = torch.randint(-limit, limit + 1, (batch,), generator=generator)
        shift *= torch.rand(batch, generator=generator) < options.shift_probability
        # Samples that are shifted over an edge are lost, and samples that were cropped do not come back.
        at = (before + shift).clamp(0, self.size)
        lost = at - (before + shift)
        count = torch.minimum(kept - lost, self.size - at).clamp(min=0)
        low, high = options.silence_gain
        gain = (low + (high - low) * torch.rand(batch, generator=generator)) * silent
        recording = torch.randint(max(1, len(self.noise)), (batch,), generator=generator)
        crops = self.noise.plan(recording, self.size, generator) if len(self.noise) else Crops(recording, recording)
        return CenterCropPlan(self.start[number] + cut + lost, at, count * ~silent, crops, gain)

    def draw(self, plan: CenterCropPlan, rows: slice | None = None) -> Tensor:
        """Copy the crops of a plan from the bank, and fill silence clips with noise; see `BankCrops.draw`."""
        which = slice(None) if rows is None else rows
        begin, at, count, gain = plan.begin[which], plan.at[which], plan.count[which], plan.gain[which]
        waves = self.copy(begin, at, count) if self.device.type == "cpu" else self.gather(begin, at, count)
        noisy = gain.nonzero()[:, 0]
        if len(noisy):
            noise = self.noise.cut(plan.crops[which][noisy], self.size) * gain[noisy, None].to(self.device)
            waves[noisy.to(self.device)] = noise
        return waves

    def copy(self, begin: Tensor, at: Tensor, count: Tensor) -> Tensor:
        """Copy waves from the bank on the CPU, shape (rows, n); see `CenterCropPlan` for the arguments."""
        samples = self.samples.numpy()
        waves = np.empty((len(begin), self.size), np.float32)

        def copy_rows(rows: slice) -> None:
            places = zip(begin[rows].tolist(), at[rows].tolist(), count[rows].tolist(), strict=True)
            for wave, (source, first, size) in zip(waves[rows], places, strict=True):
                clip = wave[first : first + size]
                clip[:] = samples[source : source + size]
                clip *= STEP
                wave[:first] = 0
                wave[first + size :] = 0

        # A row stays in the cache: copying is six times as fast as a gather, which reads an index for each sample.
        share_rows(len(waves), copy_rows)
        return torch.from_numpy(waves)

    def gather(self, begin: Tensor, at: Tensor, count: Tensor) -> Tensor:
        """Compute the same waves as `copy` by indexing, which works on any device."""
        begin, at, count = (column.to(self.device)[:, None] for column in (begin, at, count))
        sample = torch.arange(self.size, device=self.device) - at
        inside = (sample >= 0) & (sample < count)
        index = (sample + begin).clamp_(0, len(self.samples) - 1)
        return self.samples[index] * (inside * float(STEP))
