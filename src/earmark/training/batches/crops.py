"""Crops of a wave for embedding it: the center crop, or random crops as in the training of the encoder."""

import zlib

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.tiled_crop import TiledCropSettings, copy_crop, first_samples

CropSettings = CenterCropSettings | TiledCropSettings


def center_crop(wave: Wave, settings: CropSettings) -> Wave:
    """Crop the middle of a wave of shape (m,). A shorter wave is tiled or zero-padded, as in the encoder's training.

    >>> settings = CenterCropSettings(length_s=5 / 16_000)
    >>> center_crop(np.float32([1, 2, 3]), settings).tolist(), center_crop(np.float32(range(8)), settings).tolist()
    ([0.0, 1.0, 2.0, 3.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    """
    out = np.empty(_size(settings), np.float32)
    margin = len(wave) - len(out)
    tile = _tiles(settings)
    copy_crop(wave, 0 if tile and margin < 0 else int(margin / 2), out, tile=tile)
    return out


def random_crops(wave: Wave, settings: CropSettings, count: int, *, seed: int) -> NDArray[np.float32]:
    """Draw random crops of a wave as in training, including time reversal.

    The crops depend on the seed and the wave only, not on other recordings or their order.

    Args:
        wave: shape (m,), m > 0.
        settings: crop settings of the encoder's training.
        count: number of crops.
        seed: seed of the draws.

    Returns:
        Shape (count, n).
    """
    generator = np.random.default_rng((seed, zlib.crc32(np.ascontiguousarray(wave).tobytes())))
    tile = _tiles(settings)
    crops = np.empty((count, _size(settings)), np.float32)
    lowest, highest = first_samples(torch.tensor(len(wave)), crops.shape[1], tile=tile)
    firsts = generator.integers(int(lowest), int(highest), count, endpoint=True)
    for out, first in zip(crops, firsts.tolist(), strict=True):
        copy_crop(wave, first, out, tile=tile)
    if isinstance(settings, TiledCropSettings):
        is_reversed = generator.random(count) < settings.reversal
        crops[is_reversed] = crops[is_reversed, ::-1]
    return crops


def _size(settings: CropSettings) -> int:
    return round(settings.length_s * SAMPLE_RATE)


def _tiles(settings: CropSettings) -> bool:
    return isinstance(settings, TiledCropSettings) and settings.tile
