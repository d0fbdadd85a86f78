"""Frame sources: from a recording to a vector every few milliseconds."""

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
    """Computes the frames of waves; they are evenly spaced in time."""

    @property
    def name(self) -> str:
        """Kind and model, for messages."""

    @property
    def fingerprint(self) -> str:
        """Identifies the source: two sources with different frames have different fingerprints."""

    @property
    def width(self) -> int:
        """Length of a frame."""

    @property
    def hop(self) -> int:
        """Samples between frames."""

    @property
    def first_s(self) -> float:
        """Time of frame 0 in its wave, in seconds: the center of the audio that it depends on."""

    @property
    def reach_s(self) -> float:
        """Audio at a greater distance from a frame's time, in seconds, does not change the frame."""

    def frames(self, wave: Wave) -> Floats:
        """Frames of a wave, shape (t, width); t is 0 for a wave that is too short.

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
            device: where frames are computed.

        Raises:
            InputError: its model cannot be loaded.
        """


def hop_s(source: FrameSource) -> float:
    """Seconds between frames."""
    return source.hop / SAMPLE_RATE


def times_s(source: FrameSource, count: int) -> NDArray[np.float64]:
    """Times of the first frames of a wave, in seconds, shape (count,)."""
    return np.float64(source.first_s) + np.arange(count, dtype=np.float64) * hop_s(source)
