"""Long recordings, such as noise, of which batches take random crops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """Which pieces of which recordings; both of one shape.

    Attributes:
        recording: numbers of recordings, int64.
        start: their first samples, int64.
    """

    recording: Tensor
    start: Tensor

    def __getitem__(self, which: Tensor | slice) -> "Crops":
        return Crops(self.recording[which], self.start[which])


class Recordings:
    """A pool of recordings.

    On a CPU they stay where they are, memory-mapped files included; other devices get a copy.

    Args:
        waves: recordings in [-1, 1], each shape (n,), n > 0.
        device: where crops are wanted.
    """

    def __init__(self, waves: Sequence[Tensor], device: torch.device) -> None:
        self.device = device
        self.length = torch.tensor([len(wave) for wave in waves], dtype=torch.int64)
        self._waves = [wave.numpy() for wave in waves]
        self._samples: Tensor | None = None

    def __len__(self) -> int:
        return len(self.length)

    def plan(self, recording: Tensor, size: int, generator: torch.Generator) -> Crops:
        """Choose where to crop; every start that keeps the crop inside its recording is as likely as any other.

        Args:
            recording: numbers of recordings.
            size: samples of a crop; of a shorter recording, any sample may come first.
            generator: source of randomness, on the CPU.
        """
        length = self.length[recording]
        starts = torch.where(length >= size, length - size + 1, length)
        chance = torch.rand(recording.shape, generator=generator, dtype=torch.float64)
        return Crops(recording, (chance * starts).long())

    def cut(self, crops: Crops, size: int) -> Tensor:
        """The crops' samples; a recording that ends too early begins again.

        Args:
            crops: what to cut, of shape (k,).
            size: samples of a crop.

        Returns:
            Shape (k, size).
        """
        return self._copy(crops, size) if self.device.type == "cpu" else self._gather(crops, size)

    def pieces(self, crops: Crops, size: int) -> Iterator[NDArray[np.float32]]:
        """The crops one by one, on the CPU; those that lie inside their recording are views of it."""
        for number, start in zip(crops.recording.tolist(), crops.start.tolist(), strict=True):
            wave = self._waves[number]
            piece = wave[start : start + size]
            yield piece if len(piece) == size else np.concatenate([piece, np.resize(wave, size - len(piece))])

    def _copy(self, crops: Crops, size: int) -> Tensor:
        rows = np.empty((len(crops.start), size), np.float32)
        # Memory is copied by the row: several times as fast as a gather, which has to read an index a sample.
        for row, piece in zip(rows, self.pieces(crops, size), strict=True):
            row[:] = piece
        return torch.from_numpy(rows)

    def _gather(self, crops: Crops, size: int) -> Tensor:
        if self._samples is None:
            self._samples = torch.from_numpy(np.concatenate(self._waves)).to(self.device)
        length = self.length[crops.recording]
        begin = (self.length.cumsum(0) - self.length)[crops.recording]
        sample = crops.start.to(self.device)[:, None] + torch.arange(size, device=self.device)
        sample = sample.remainder_(length.to(self.device)[:, None]).add_(begin.to(self.device)[:, None])
        return self._samples[sample]
