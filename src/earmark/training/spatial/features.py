"""The two sights of a clip: MFCC, which are reconstructed, and the mel spectrogram, which says where it lies.

Both are computed once for all clips of a run and kept in files that are mapped into memory.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.core.audio import SAMPLE_RATE
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.crops import center_crop
from earmark.training.nn.encoders.dense import flat
from earmark.training.nn.frontends.log_mel import MelSettings, mel_triangles
from earmark.training.nn.frontends.spectrogram import Spectrogram
from earmark.training.run.progress import follow

Floats = NDArray[np.float32]

# As published: an odd number of points, and bands as librosa has them.
POSITION_MEL = MelSettings(
    window_s=1025 / SAMPLE_RATE, hop_s=0.032, n_mels=128, scale="slaney", padding="zeros", full_scale=32768
)

_AT_ONCE = 256


class MelPower(nn.Module):
    """Power in mel bands, without a logarithm.

    Args:
        settings: of the bands; nothing is compressed, whatever they say.
    """

    filters: Tensor

    def __init__(self, settings: MelSettings = POSITION_MEL) -> None:
        super().__init__()
        self.gain = settings.full_scale**2
        window = torch.hann_window(settings.window, dtype=torch.float64).float()
        self.spectrogram = Spectrogram(window, settings.hop, settings.points, padding=settings.padding)
        self.register_buffer("filters", torch.tensor(mel_triangles(settings), dtype=torch.float32), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Waves of shape (batch, n), in [-1, 1], to power of shape (batch, t, n_mels)."""
        return self.spectrogram(waves) @ self.filters * self.gain


def compute(
    bank: ClipBank,
    clips: NDArray[np.int64],
    frontend: Callable[[Tensor], Tensor],
    path: Path,
    *,
    length_s: float,
    title: str,
) -> Floats:
    """A row of features for each of some clips, kept in a file.

    Args:
        bank: all clips; each is cut from its middle or, half on each side, filled with zeros.
        clips: their numbers.
        frontend: waves of shape (batch, n) to features of shape (batch, t, f).
        path: the .npy file; it appears when it is complete, and one that is there with as many rows is taken as it is.
        length_s: of a clip, in seconds.
        title: of the progress bar.

    Returns:
        Shape (clips, f · t), of each feature all frames; mapped into memory.
    """
    if not path.exists() or len(np.load(path, mmap_mode="r", allow_pickle=False)) != len(clips):
        partial = path.with_suffix(".partial")
        crop = CenterCropSettings(length_s=length_s)
        rows: np.memmap[tuple[int, int], np.dtype[np.float32]] | None = None
        for start in follow(range(0, len(clips), _AT_ONCE), title):
            some = clips[start : start + _AT_ONCE]
            waves = torch.from_numpy(np.stack([center_crop(bank.wave(number), crop) for number in some]))
            with torch.inference_mode():
                found = flat(frontend(waves)).numpy()
            if rows is None:
                rows = open_memmap(partial, "w+", np.float32, (len(clips), found.shape[1]))
            rows[start : start + len(some)] = found
        assert rows is not None
        rows.flush()
        partial.replace(path)
    return np.load(path, mmap_mode="r", allow_pickle=False)
