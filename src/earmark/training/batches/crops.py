"""What an encoder of clips of one length hears of a recording of any length: its middle, or random crops of it."""

import zlib

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.training.batches.center_crop import CenteredSettings
from earmark.training.batches.tiled_crop import RepeatedSettings, crop, first_samples

Hearing = CenteredSettings | RepeatedSettings


def middle(wave: Wave, hearing: Hearing) -> Wave:
    """The middle of a wave; a shorter one is repeated, or stands in silence, as its encoder learned.

    >>> settings = CenteredSettings(length_s=5 / 16_000)
    >>> middle(np.float32([1, 2, 3]), settings).tolist(), middle(np.float32(range(8)), settings).tolist()
    ([0.0, 1.0, 2.0, 3.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    """
    out = np.empty(_size(hearing), np.float32)
    spare = len(wave) - len(out)
    repetition = _repeats(hearing)
    crop(wave, 0 if repetition and spare < 0 else int(spare / 2), out, repetition=repetition)
    return out


def random_crops(wave: Wave, hearing: Hearing, count: int, *, seed: int) -> NDArray[np.float32]:
    """Crops as in training, reversed ones too.

    Which ones depends on the seed and the wave alone, so that neither order nor company of recordings matters.

    Args:
        wave: shape (m,), m > 0.
        hearing: how the encoder's training cropped.
        count: how many.
        seed: of the draws.

    Returns:
        Shape (count, n).
    """
    generator = np.random.default_rng((seed, zlib.crc32(np.ascontiguousarray(wave).tobytes())))
    repetition = _repeats(hearing)
    crops = np.empty((count, _size(hearing)), np.float32)
    least, most = first_samples(torch.tensor(len(wave)), crops.shape[1], repetition=repetition)
    firsts = generator.integers(int(least), int(most), count, endpoint=True)
    for out, first in zip(crops, firsts.tolist(), strict=True):
        crop(wave, first, out, repetition=repetition)
    if isinstance(hearing, RepeatedSettings):
        backwards = generator.random(count) < hearing.reversal
        crops[backwards] = crops[backwards, ::-1]
    return crops


def _size(hearing: Hearing) -> int:
    return round(hearing.length_s * SAMPLE_RATE)


def _repeats(hearing: Hearing) -> bool:
    return isinstance(hearing, RepeatedSettings) and hearing.repetition
