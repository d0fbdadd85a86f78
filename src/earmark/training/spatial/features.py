"""Features of clips: MFCC, the input of the auto-encoder, and mel spectra, for computing positions.

Both are computed once for all clips of a run, and stored in files that are mapped into memory.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.core.arrays import read_array, write_array_header
from earmark.core.audio import SAMPLE_RATE
from earmark.core.files import atomic_file
from earmark.core.progress import Progress, follow, no_progress
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.crops import center_crop
from earmark.training.nn.encoders.dense import flat
from earmark.training.nn.frontends.log_mel import MelSettings, mel_triangles
from earmark.training.nn.frontends.spectrogram import Spectrogram

Floats = NDArray[np.float32]

# The published settings: a window of odd length, and the mel bands of librosa.
POSITION_MEL = MelSettings(
    window_s=1025 / SAMPLE_RATE, hop_s=0.032, n_mels=128, scale="slaney", padding="zeros", full_scale=32768
)

_BATCH = 256


class MelPower(nn.Module):
    """Computes the power in mel bands, without logarithm.

    Args:
        settings: settings of the bands; the compression in them is ignored.
    """

    filters: Tensor

    def __init__(self, settings: MelSettings = POSITION_MEL) -> None:
        super().__init__()
        self.gain = settings.full_scale**2
        window = torch.hann_window(settings.window, dtype=torch.float64).float()
        self.spectrogram = Spectrogram(window, settings.hop, settings.points, padding=settings.padding)
        self.register_buffer("filters", torch.tensor(mel_triangles(settings), dtype=torch.float32), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Compute the power, shape (batch, t, n_mels), of waves in [-1, 1], shape (batch, n)."""
        return self.spectrogram(waves) @ self.filters * self.gain


def compute_features(
    bank: ClipBank,
    clips: NDArray[np.int64],
    frontend: Callable[[Tensor], Tensor],
    path: Path,
    *,
    length_s: float,
    progress: Progress = no_progress,
) -> Floats:
    """Compute the features of the center crops of clips, or open the file in which they are stored.

    Args:
        bank: the bank with the clips.
        clips: numbers of the clips, shape (n,).
        frontend: maps waves of shape (batch, samples) to features of shape (batch, t, f).
        path: the .npy file, written atomically; an existing file with n rows is opened.
        length_s: length of a crop, in seconds.
        progress: counts batches.

    Returns:
        Features, shape (n, f · t), mapped into memory: all frames of the first feature, then of the second, and so on.
    """
    if not path.exists() or len(read_array(path)) != len(clips):
        crop = CenterCropSettings(length_s=length_s)
        batches = [clips[start : start + _BATCH] for start in range(0, len(clips), _BATCH)]
        with atomic_file(path) as file:
            for number, some in enumerate(follow(batches, f"computing {path.stem.partition('-')[0]}", progress)):
                waves = torch.from_numpy(np.stack([center_crop(bank.wave(clip), crop) for clip in some]))
                with torch.inference_mode():
                    rows = flat(frontend(waves)).numpy().astype(np.float32, copy=False)
                if not number:
                    write_array_header(file, rows.dtype, (len(clips), rows.shape[1]))
                file.write(rows.tobytes())
    return read_array(path)
