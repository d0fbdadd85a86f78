"""Base class that draws crops from a clip bank, for center crops and tiled crops.

The random choices of a batch are planned first, in small tensors; samples are copied when the plan is drawn. Several
processes can therefore make the same plan and draw their own rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.training.batches.clip_bank import ClipBank

STEP = np.float32(1 / 32_768)
"""One step of a 16-bit sample."""

Plan = TypeVar("Plan")


class BankCrops(ABC, Generic[Plan]):
    """Draws crops of one length from the clips of a bank; a subclass chooses their positions.

    Args:
        bank: clip bank.
        length_s: length of a crop, in seconds.
        device: device of the waves; a GPU gets a copy of the bank's samples, on the CPU they stay memory-mapped.
    """

    def __init__(self, bank: ClipBank, length_s: float, device: torch.device) -> None:
        self.device = device
        self.size = round(length_s * SAMPLE_RATE)
        self.start = torch.from_numpy(bank.start)
        self.length = torch.from_numpy(bank.length)
        self.samples = torch.from_numpy(bank.samples).to(device)

    @abstractmethod
    def plan(self, clips: Tensor, generator: torch.Generator) -> Plan:
        """Choose at random which part of each clip a batch gets.

        Args:
            clips: clip numbers, shape (batch,).
            generator: source of randomness, on the CPU.
        """

    @abstractmethod
    def draw(self, plan: Plan, rows: slice | None = None) -> Tensor:
        """Copy the crops of a plan, or of some of its rows, from the bank; shape (rows, n), values in [-1, 1]."""

    def planned(self, clips: Tensor, generator: torch.Generator) -> Callable[[slice], Tensor]:
        """Plan the crops of a batch of clips, and return a function that draws rows of the plan, shape (rows, n)."""
        return partial(self.draw, self.plan(clips, generator))
