"""Long recordings, such as noise, from which batches take random crops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """Which recording each crop of a batch is from, and where it begins; both tensors have the same shape.

    Attributes:
        recording: recording numbers, int64.
        start: first samples, int64.
    """

    recording: Tensor
    start: Tensor

    def __getitem__(self, which: Tensor | slice) -> "Crops":
        return Crops(self.recording[which], self.start[which])


class Recordings:
    """Recordings from which crops are cut.

    On a CPU the waves are not copied, so that they can stay memory-mapped. Other devices get a copy.

    Args:
        waves: recordings in [-1, 1], each shape (n,), n > 0.
        device: device of the crops.
    """

    def __init__(self, waves: Sequence[Tensor], device: torch.device) -> None:
        self.device = device
        self.length = torch.tensor([len(wave) for wave in waves], dtype=torch.int64)
        self._waves = [wave.numpy() for wave in waves]
        self._samples: Tensor | None = None

    def __len__(self) -> int:
        return len(self.length)

    def plan(self, recording: Tensor, size: int, generator: torch.Generator) -> Crops:
        """Choose the first sample of each crop at random, so that the crop is inside its recording.

        Args:
            recording: recording number of each crop, int64, any shape.
            size: samples of a crop; in a shorter recording, any sample can be the first.
            generator: source of randomness, on the CPU.
        """
        length = self.length[recording]
        starts = torch.where(length >= size, length - size + 1, length)
        chance = torch.rand(recording.shape, generator=generator, dtype=torch.float64)
        return Crops(recording, (chance * starts).long())

    def cut(self, crops: Crops, size: int) -> Tensor:
        """Cut crops of ``size`` samples out of their recordings; a recording that is too short is tiled.

        Args:
            crops: crops of shape (k,).
            size: samples of a crop.

        Returns:
            Shape (k, size).
        """
        return self.copy(crops, size) if self.device.type == "cpu" else self.gather(crops, size)

    def each(self, crops: Crops, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield crops one by one on the CPU, each of shape (size,).

        A crop inside its recording is not copied: it is a view of the recording.
        """
        for number, start in zip(crops.recording.tolist(), crops.start.tolist(), strict=True):
            wave = self._waves[number]
            piece = wave[start : start + size]
            yield piece if len(piece) == size else np.concatenate([piece, np.resize(wave, size - len(piece))])

    def copy(self, crops: Crops, size: int) -> Tensor:
        """Do the same as `cut` on the CPU, by copying rows."""
        rows = np.empty((len(crops.start), size), np.float32)
        # Copying rows is several times as fast as a gather, which reads an index for each sample.
        for row, piece in zip(rows, self.each(crops, size), strict=True):
            row[:] = piece
        return torch.from_numpy(rows)

    def gather(self, crops: Crops, size: int) -> Tensor:
        """Do the same as `cut` on any device, by indexing."""
        if self._samples is None:
            self._samples = torch.from_numpy(np.concatenate(self._waves)).to(self.device)
        length = self.length[crops.recording]
        begin = (self.length.cumsum(0) - self.length)[crops.recording]
        sample = crops.start.to(self.device)[:, None] + torch.arange(size, device=self.device)
        sample = sample.remainder_(length.to(self.device)[:, None]).add_(begin.to(self.device)[:, None])
        return self._samples[sample]
