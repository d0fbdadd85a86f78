"""Log-mel energies in plain NumPy: the frames of the untrained baselines."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave

Floats = NDArray[np.floating]

HOP_S = 0.01
BANDS = 40
_WINDOW = 400
_HOP = round(SAMPLE_RATE * HOP_S)
_FFT = 512
_RANGE_HZ = (60.0, 7600.0)
_FLOOR = 1e-7
BLOCK_FRAMES = 4096


def log_mel(wave: Wave, *, block_frames: int = BLOCK_FRAMES) -> Floats:
    """Natural logarithm of the energy in 40 mel bands, every 10 ms.

    Args:
        wave: shape (n,), 16 kHz.
        block_frames: maximum number of frames to compute at once.

    Returns:
        Shape (⌈n / 160⌉, 40), float32; frame i covers 25 ms around (i + 0.5) · 10 ms.

    >>> log_mel(np.zeros(16_000, np.float32)).shape
    (100, 40)
    """
    count = -(-len(wave) // _HOP)
    before = (_WINDOW - _HOP) // 2
    padded = np.pad(wave, (before, _WINDOW + _HOP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    frames = np.empty((count, BANDS), np.float32)
    for start in range(0, count, block_frames):
        block = windows[start : start + block_frames] * np.hanning(_WINDOW).astype(np.float32)
        power = np.abs(np.fft.rfft(block, _FFT)) ** 2
        frames[start : start + block_frames] = np.log(power @ mel_filters() + _FLOOR)
    return frames


@cache
def mel_filters() -> Floats:
    """Weights of 257 frequency bins in 40 triangular mel filters, evenly spaced on the mel scale, shape (257, 40)."""

    def mel(hz: Floats) -> Floats:
        return 2595 * np.log10(1 + hz / 700)

    low, high = mel(np.array(_RANGE_HZ))
    corners = np.linspace(low, high, BANDS + 2)
    bins = mel(np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE))[:, None]
    width = corners[1] - corners[0]
    return np.maximum(0, 1 - np.abs(bins - corners[1:-1]) / width)
