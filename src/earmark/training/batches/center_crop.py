"""Clips of one fixed length with the word in the middle, as the published keyword systems train on them.

All random choices of a batch are planned first, in small tensors; samples move only when the plan is drawn. Several
processes can so make the same plan, and each draws its own rows of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import InputError
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.recordings import Crops, Recordings
from earmark.training.batches.threads import share_rows

SILENCE = -1
"""The number that asks :class:`CenterCrops` for silence instead of a clip."""

_STEP = np.float32(1 / 32_768)  # of 16 bits


class CenterCropSettings(BaseModel):
    """How clips are cut to one length.

    The defaults are those of Jung et al. (2023); Huh et al. (2021) shift 20 % of the clips by up to ± 0.2 s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["center_crop"] = Field("center_crop", description="clips of one length, the word in the middle")
    length_s: PositiveFloat = Field(
        1.0, description="length of a clip, in seconds; a shorter one gets silence on both sides, a longer one is cut"
    )
    shift_s: float = Field(0.0, ge=0, description="a shifted clip moves by up to ± this, in seconds")
    shift_probability: float = Field(0.0, ge=0, le=1, description="share of the clips that are shifted")
    silence_gain: tuple[float, float] = Field(
        (0.0, 0.0), description="range of the gain of the noise in silence clips; (0, 0): digital silence"
    )

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        low, high = self.silence_gain
        if not 0 <= low <= high:
            raise ValueError(f"silence_gain: a range from low to high, at least 0, is needed, not ({low:g}, {high:g})")
        if self.shift_s > self.length_s:
            raise ValueError(f"shift_s: a shift of {self.shift_s:g} s leaves nothing of {self.length_s:g} s")
        return self

    def build(self, bank: ClipBank, noise: Sequence[Tensor], device: torch.device) -> "CenterCrops":
        """Build the crops of a bank."""
        return CenterCrops(bank, self, device, noise)


@dataclass(frozen=True)
class CenterCropPlan:
    """All that is random in a batch of clips, and where their samples are.

    Sample ``at + i`` of a wave is the bank's sample ``begin + i``, for i from 0 to ``count - 1``; around it is silence.

    Attributes:
        begin: first sample in the bank, int64, shape (batch,).
        at: where it stands in the wave, int64, shape (batch,).
        count: samples from the bank, int64, shape (batch,); 0 for silence.
        crops: the noise in silence clips; rows of other clips mean nothing.
        gain: its gain, shape (batch,); 0 in all other clips.
    """

    begin: Tensor
    at: Tensor
    count: Tensor
    crops: Crops
    gain: Tensor

    def __len__(self) -> int:
        return len(self.begin)


class CenterCrops:
    """Draws clips of one length from a bank.

    Args:
        bank: the clips.
        settings: how they are cut.
        device: where the waves are wanted; the bank's samples are copied there, but stay on disk for the CPU.
        noise: recordings that silence clips are cut from, each shape (n,).

    Raises:
        InputError: silence should sound, but there is no noise.
    """

    def __init__(
        self, bank: ClipBank, settings: CenterCropSettings, device: torch.device, noise: Sequence[Tensor]
    ) -> None:
        if settings.silence_gain[1] > 0 and not noise:
            raise InputError(
                "data.noise: no recordings to make silence of; name some, or set scenes.silence_gain to [0, 0]"
            )
        self.settings = settings
        self.device = device
        self.size = round(settings.length_s * SAMPLE_RATE)
        self.start = torch.from_numpy(bank.start)
        self.length = torch.from_numpy(bank.length)
        self.samples = torch.from_numpy(bank.samples).to(device)
        self.noise = Recordings(noise, device)

    def plan(self, clips: Tensor, generator: torch.Generator) -> CenterCropPlan:
        """Choose shifts and silences.

        Args:
            clips: numbers of the clips, shape (batch,); ``SILENCE`` asks for silence.
            generator: source of randomness, on the CPU.
        """
        batch, options = len(clips), self.settings
        silent = clips < 0
        number = clips.clamp(min=0)
        length = self.length[number]
        spare = self.size - length
        before = spare.clamp(min=0) // 2
        cut = (-spare).clamp(min=0) // 2
        heard = length.clamp(max=self.size)
        reach = round(options.shift_s * SAMPLE_RATE)
        shift = torch.randint(-reach, reach + 1, (batch,), generator=generator)
        shift *= torch.rand(batch, generator=generator) < options.shift_probability
        # What is pushed over an edge is lost: the clip does not wrap, and what was cut off does not come back.
        at = (before + shift).clamp(0, self.size)
        lost = at - (before + shift)
        count = torch.minimum(heard - lost, self.size - at).clamp(min=0)
        low, high = options.silence_gain
        gain = (low + (high - low) * torch.rand(batch, generator=generator)) * silent
        recording = torch.randint(max(1, len(self.noise)), (batch,), generator=generator)
        crops = self.noise.plan(recording, self.size, generator) if len(self.noise) else Crops(recording, recording)
        return CenterCropPlan(self.start[number] + cut + lost, at, count * ~silent, crops, gain)

    def planned(self, clips: Tensor, generator: torch.Generator) -> Callable[[slice], Tensor]:
        """Plan a batch now; the result draws its rows, shape (rows, n)."""
        return partial(self.draw, self.plan(clips, generator))

    def draw(self, plan: CenterCropPlan, rows: slice | None = None) -> Tensor:
        """The waves of a plan, or of some of its rows.

        Returns:
            Shape (rows, n), in [-1, 1].
        """
        which = slice(None) if rows is None else rows
        begin, at, count, gain = plan.begin[which], plan.at[which], plan.count[which], plan.gain[which]
        waves = self._copy(begin, at, count) if self.device.type == "cpu" else self._gather(begin, at, count)
        sounding = gain.nonzero()[:, 0]
        if len(sounding):
            noise = self.noise.cut(plan.crops[which][sounding], self.size) * gain[sounding, None].to(self.device)
            waves[sounding.to(self.device)] = noise
        return waves

    def _copy(self, begin: Tensor, at: Tensor, count: Tensor) -> Tensor:
        samples = self.samples.numpy()
        waves = np.empty((len(begin), self.size), np.float32)

        def copy(rows: slice) -> None:
            places = zip(begin[rows].tolist(), at[rows].tolist(), count[rows].tolist(), strict=True)
            for wave, (source, first, size) in zip(waves[rows], places, strict=True):
                heard = wave[first : first + size]
                heard[:] = samples[source : source + size]
                heard *= _STEP
                wave[:first] = 0
                wave[first + size :] = 0

        # Row by row, which keeps a row in the cache: six times as fast as a gather, which reads an index a sample.
        share_rows(len(waves), copy)
        return torch.from_numpy(waves)

    def _gather(self, begin: Tensor, at: Tensor, count: Tensor) -> Tensor:
        begin, at, count = (column.to(self.device)[:, None] for column in (begin, at, count))
        sample = torch.arange(self.size, device=self.device) - at
        heard = (sample >= 0) & (sample < count)
        index = (sample + begin).clamp_(0, len(self.samples) - 1)
        return self.samples[index] * (heard * float(_STEP))
