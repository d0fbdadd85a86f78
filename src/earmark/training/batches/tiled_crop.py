"""Crops of a recording that was appended to itself, perhaps played backwards, as speaker encoders train on them.

Hajibabaei and Dai (2018, arXiv 1807.08312): a random piece of the repeated recording, in half of the draws backwards.
Who speaks can be heard wherever a recording begins and in both directions of time, so that few recordings become many.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.threads import share_rows

_STEP = np.float32(1 / 32_768)  # of 16 bits


class TiledCropSettings(BaseModel):
    """How recordings are cropped; the defaults are those of Hajibabaei and Dai (2018)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tiled_crop"] = Field("tiled_crop", description="random crops of recordings that follow themselves")
    length_s: PositiveFloat = Field(3.0150625, description="length of a crop, in seconds")
    tile: bool = Field(
        True,
        description="a crop begins anywhere, and at its recording's end the recording begins again; false: it lies "
        "inside, and a recording shorter than a crop gets silence around it",
    )
    reversal: float = Field(0.5, ge=0, le=1, description="share of the crops that are played backwards")

    def build(self, bank: ClipBank, noise: Sequence[Tensor], device: torch.device) -> "TiledCrops":
        """Build the crops of a bank."""
        del noise
        return TiledCrops(bank, self, device)


@dataclass(frozen=True)
class TiledCropPlan:
    """All that is random in a batch of crops; every tensor has shape (batch,).

    Attributes:
        clip: numbers of the clips.
        first: which sample of its clip a crop begins with; below 0 there is silence, beyond the end it begins again.
        backwards: whether it is played backwards.
    """

    clip: Tensor
    first: Tensor
    backwards: Tensor

    def __len__(self) -> int:
        return len(self.clip)


class TiledCrops:
    """Draws crops from a bank.

    Args:
        bank: the clips, each a whole recording.
        settings: how they are cropped.
        device: where the waves are wanted; the bank's samples are copied there, but stay on disk for the CPU.
    """

    def __init__(self, bank: ClipBank, settings: TiledCropSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.size = round(settings.length_s * SAMPLE_RATE)
        self.start = torch.from_numpy(bank.start)
        self.length = torch.from_numpy(bank.length)
        self.samples = torch.from_numpy(bank.samples).to(device)

    def plan(self, clips: Tensor, generator: torch.Generator) -> TiledCropPlan:
        """Choose where crops begin, and which are reversed.

        Args:
            clips: numbers of the clips, shape (batch,).
            generator: source of randomness, on the CPU.
        """
        chance, reversal = torch.rand(2, len(clips), generator=generator, dtype=torch.float64)
        least, most = first_samples(self.length[clips], self.size, tile=self.settings.tile)
        first = least + (chance * (most - least + 1)).long()
        return TiledCropPlan(clips, first, reversal < self.settings.reversal)

    def planned(self, clips: Tensor, generator: torch.Generator) -> Callable[[slice], Tensor]:
        """Plan a batch now; the result draws its rows, shape (rows, n)."""
        return partial(self.draw, self.plan(clips, generator))

    def draw(self, plan: TiledCropPlan, rows: slice | None = None) -> Tensor:
        """The waves of a plan, or of some of its rows; shape (rows, n), in [-1, 1]."""
        which = slice(None) if rows is None else rows
        clip, first, backwards = plan.clip[which], plan.first[which], plan.backwards[which]
        return self._copy(clip, first, backwards) if self.device.type == "cpu" else self._gather(clip, first, backwards)

    def _copy(self, clip: Tensor, first: Tensor, backwards: Tensor) -> Tensor:
        samples = self.samples.numpy()
        waves = np.empty((len(clip), self.size), np.float32)
        starts, lengths = self.start[clip].tolist(), self.length[clip].tolist()
        places = list(zip(starts, lengths, first.tolist(), backwards.tolist(), strict=True))

        def copy(rows: slice) -> None:
            for wave, (start, length, begin, is_backwards) in zip(waves[rows], places[rows], strict=True):
                copy_crop(samples[start : start + length], begin, wave, tile=self.settings.tile)
                wave *= _STEP
                if is_backwards:
                    wave[:] = wave[::-1].copy()

        share_rows(len(waves), copy)
        return torch.from_numpy(waves)

    def _gather(self, clip: Tensor, first: Tensor, backwards: Tensor) -> Tensor:
        start, length, first, backwards = (
            column.to(self.device)[:, None] for column in (self.start[clip], self.length[clip], first, backwards)
        )
        moment = torch.arange(self.size, device=self.device)
        sample = first + torch.where(backwards, self.size - 1 - moment, moment)
        heard = torch.ones_like(sample, dtype=torch.bool)
        if not self.settings.tile:
            heard = (sample >= 0) & (sample < length)
        return self.samples[start + sample.remainder(length)] * (heard * float(_STEP))


def first_samples(length: Tensor, size: int, *, tile: bool) -> tuple[Tensor, Tensor]:
    """Least and greatest sample that a crop of ``size`` samples may begin with, in recordings of these lengths."""
    if tile:
        return torch.zeros_like(length), length - 1
    return (length - size).clamp(max=0), (length - size).clamp(min=0)


def copy_crop(samples: NDArray[np.generic], first: int, out: Wave, *, tile: bool) -> None:
    """Copy a crop of a recording.

    Args:
        samples: the recording, shape (n,), n > 0.
        first: which of its samples the crop begins with.
        out: the crop; it is filled.
        tile: the recording begins again where it ends; else there is silence before and after it.

    >>> out = np.zeros(5, np.float32)
    >>> copy_crop(np.arange(1, 4), 2, out, tile=True)
    >>> out.tolist()
    [3.0, 1.0, 2.0, 3.0, 1.0]
    >>> copy_crop(np.arange(1, 4), -1, out, tile=False)
    >>> out.tolist()
    [0.0, 1.0, 2.0, 3.0, 0.0]
    """
    size = len(out)
    if tile:
        done = 0
        while done < size:
            piece = samples[(first + done) % len(samples) :][: size - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
        return
    before = max(0, -first)
    piece = samples[max(0, first) :][: size - before]
    out[:before] = 0
    out[before : before + len(piece)] = piece
    out[before + len(piece) :] = 0
