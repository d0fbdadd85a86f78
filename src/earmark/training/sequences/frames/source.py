"""What turns a recording into frames, whichever kind it is of."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave

Floats = NDArray[np.float32]


class FrameSource(Protocol):
    """Sound in, a vector every so many samples out. Frames of a wave are evenly spaced in time."""

    @property
    def name(self) -> str:
        """For messages: the kind, and which model."""

    @property
    def fingerprint(self) -> str:
        """Tells it from every source that would make other frames."""

    @property
    def width(self) -> int:
        """Numbers in a frame."""

    @property
    def hop(self) -> int:
        """Samples from frame to frame."""

    @property
    def first_s(self) -> float:
        """The instant that frame 0 describes: the middle of the sound that it sees, in seconds of the wave."""

    @property
    def reach_s(self) -> float:
        """Sound that is further away from a frame's instant than this, in seconds, does not change it."""

    def frames(self, wave: Wave) -> Floats:
        """Frames of a wave that stands alone, shape (t, width); none of a wave that is too short for one.

        Args:
            wave: shape (n,), 16 kHz.
        """


def hop_s(source: FrameSource) -> float:
    """Seconds from frame to frame."""
    return source.hop / SAMPLE_RATE


def times_s(source: FrameSource, count: int) -> NDArray[np.float64]:
    """The instants that a wave's first frames describe, in seconds, shape (count,)."""
    return np.float64(source.first_s) + np.arange(count, dtype=np.float64) * hop_s(source)
