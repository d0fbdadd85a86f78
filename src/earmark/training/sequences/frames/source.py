"""Base classes of frame sources, which compute a vector (a frame) every few milliseconds of a recording."""

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.config import Settings

Floats = NDArray[np.float32]

CPU = torch.device("cpu")


class FrameSource(Protocol):
    """Computes the frames of waves: vectors at evenly spaced times."""

    @property
    def name(self) -> str:
        """Kind of the source and name of its model, as text for messages."""

    @property
    def fingerprint(self) -> str:
        """Text that identifies the source; sources with different frames have different fingerprints."""

    @property
    def width(self) -> int:
        """Number of features in a frame."""

    @property
    def hop(self) -> int:
        """Number of samples between frames."""

    @property
    def first_s(self) -> float:
        """Time of frame 0 in its wave, in seconds: the center of the audio that it depends on."""

    @property
    def reach_s(self) -> float:
        """Distance in seconds from a frame's time beyond which audio does not change the frame."""

    def frames(self, wave: Wave) -> Floats:
        """Compute the frames of a wave, shape (t, width); t is 0 if the wave is too short.

        Args:
            wave: shape (n,), 16 kHz.
        """


class FrameSourceSettings(Settings, ABC):
    """Settings of a frame source; a subclass adds a field ``kind`` and builds the source."""

    # `kind` is not declared here: the order of fields is part of the fingerprints of stored log-mel frames.

    @abstractmethod
    def build_source(self, device: torch.device = CPU) -> FrameSource:
        """Build the frame source.

        Args:
            device: device that computes the frames.

        Raises:
            InputError: the model of the source cannot be loaded.
        """


def hop_s(source: FrameSource) -> float:
    """Seconds between frames."""
    return source.hop / SAMPLE_RATE


def times_s(source: FrameSource, count: int) -> NDArray[np.float64]:
    """Times of the first `count` frames of a wave, in seconds, shape (count,)."""
    return np.float64(source.first_s) + np.arange(count, dtype=np.float64) * hop_s(source)
