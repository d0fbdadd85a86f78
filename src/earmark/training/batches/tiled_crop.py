"""Tiled crops: random crops of a recording that is tiled in time, with random time reversal, for speaker encoders.

Hajibabaei and Dai (2018, arXiv 1807.08312) reverse half of the crops. A speaker is recognizable at any position and in
both directions of time, so that few recordings give many crops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from torch import Tensor

from earmark.core.audio import Wave
from earmark.core.config import Settings
from earmark.training.batches.bank_crops import STEP, BankCrops
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.threads import share_rows


class TiledCropSettings(Settings):
    """Settings of tiled crops; the defaults are those of Hajibabaei and Dai (2018)."""

    kind: Literal["tiled_crop"] = Field(
        "tiled_crop", description="tiled crops: random crops of recordings that are tiled in time"
    )
    length_s: PositiveFloat = Field(3.0150625, description="length of a crop, in seconds")
    tile: bool = Field(
        True,
        description="a crop begins anywhere and wraps at the end of its recording; false: crops stay inside, and a "
        "shorter recording is zero-padded",
    )
    reversal: float = Field(0.5, ge=0, le=1, description="probability of time reversal")

    def build(self, bank: ClipBank, noise: Sequence[Tensor], device: torch.device) -> "TiledCrops":
        """Build the class that draws tiled crops from a bank; ``noise`` is not used."""
        del noise
        return TiledCrops(bank, self, device)


@dataclass(frozen=True)
class TiledCropPlan:
    """Which crop of which clip each wave of a batch is; all tensors have shape (batch,).

    Attributes:
        clip: clip numbers.
        first: first sample of the crop in its clip; negative positions are silence, positions beyond the end wrap.
        is_reversed: whether the crop is reversed in time.
    """

    clip: Tensor
    first: Tensor
    is_reversed: Tensor

    def __len__(self) -> int:
        return len(self.clip)


class TiledCrops(BankCrops[TiledCropPlan]):
    """Draws tiled crops from a clip bank: random crops of recordings that are repeated in time.

    Args:
        bank: clip bank, each clip a whole recording.
        settings: crop settings.
        device: device of the waves, see `BankCrops`.
    """

    def __init__(self, bank: ClipBank, settings: TiledCropSettings, device: torch.device) -> None:
        super().__init__(bank, settings.length_s, device)
        self.settings = settings

    def plan(self, clips: Tensor, generator: torch.Generator) -> TiledCropPlan:
        """Choose the first sample of each crop at random, and whether it is reversed; see `BankCrops.plan`."""
        chance, reversal = torch.rand(2, len(clips), generator=generator, dtype=torch.float64)
        lowest, highest = first_samples(self.length[clips], self.size, tile=self.settings.tile)
        first = lowest + (chance * (highest - lowest + 1)).long()
        return TiledCropPlan(clips, first, reversal < self.settings.reversal)

    def draw(self, plan: TiledCropPlan, rows: slice | None = None) -> Tensor:
        """Copy the crops of a plan from the bank, and reverse those that the plan reverses; see `BankCrops.draw`."""
        which = slice(None) if rows is None else rows
        clip, first, is_reversed = plan.clip[which], plan.first[which], plan.is_reversed[which]
        return (
            self.copy(clip, first, is_reversed) if self.device.type == "cpu" else self.gather(clip, first, is_reversed)
        )

    def copy(self, clip: Tensor, first: Tensor, is_reversed: Tensor) -> Tensor:
        """Copy crops from the bank on the CPU, shape (rows, n); see `TiledCropPlan` for the arguments."""
        samples = self.samples.numpy()
        waves = np.empty((len(clip), self.size), np.float32)
        starts, lengths = self.start[clip].tolist(), self.length[clip].tolist()
        places = list(zip(starts, lengths, first.tolist(), is_reversed.tolist(), strict=True))

        def copy_rows(rows: slice) -> None:
            for wave, (start, length, begin, reverse) in zip(waves[rows], places[rows], strict=True):
                copy_crop(samples[start : start + length], begin, wave, tile=self.settings.tile)
                wave *= STEP
                if reverse:
                    wave[:] = wave[::-1].copy()

        share_rows(len(waves), copy_rows)
        return torch.from_numpy(waves)

    def gather(self, clip: Tensor, first: Tensor, is_reversed: Tensor) -> Tensor:
        """Compute the same waves as `copy` by indexing, which works on any device."""
        start, length, first, is_reversed = (
            column.to(self.device)[:, None] for column in (self.start[clip], self.length[clip], first, is_reversed)
        )
        position = torch.arange(self.size, device=self.device)
        sample = first + torch.where(is_reversed, self.size - 1 - position, position)
        inside = torch.ones_like(sample, dtype=torch.bool)
        if not self.settings.tile:
            inside = (sample >= 0) & (sample < length)
        return self.samples[start + sample.remainder(length)] * (inside * float(STEP))


def first_samples(length: Tensor, size: int, *, tile: bool) -> tuple[Tensor, Tensor]:
    """Compute the range of positions at which a crop of ``size`` samples may begin in recordings.

    Args:
        length: samples of each recording.
        size: samples of a crop.
        tile: whether a crop may wrap at the end of its recording.

    Returns:
        Lowest and highest first sample for each recording; negative before the beginning of a shorter recording.
    """
    if tile:
        return torch.zeros_like(length), length - 1
    return (length - size).clamp(max=0), (length - size).clamp(min=0)


def copy_crop(samples: NDArray[np.generic], first: int, out: Wave, *, tile: bool) -> None:
    """Copy a crop of a recording, which may extend beyond its end, into an array.

    Args:
        samples: the recording, shape (n,), n > 0.
        first: first sample of the crop.
        out: array to fill.
        tile: tile the recording; otherwise zero-pad it.

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
