"""The silence class of an evaluation: clips of background noise, one second each.

As in Jung et al. (arXiv:2211.00439), a clip is a random second of a random noise file, at a random gain below 0.1. Jung
et al. draw new clips at each evaluation; here the clips are written to files, so that every system gets the same ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest

SILENCE = "_silence_"
MAX_GAIN = 0.1


@dataclass(frozen=True)
class _Crop:
    """A drawn second: index of the noise clip, position of the start in [0, 1) among all possible starts, and gain."""

    noise: int
    position: float
    gain: float


def draw_silence(noises: Manifest, count: int, *, seed: int = 0) -> Iterator[tuple[int, Wave]]:
    """Draw one-second crops of background noise at random; a larger `count` adds crops and keeps the others.

    Args:
        noises: clips of noise; each clip of at least one second is equally likely.
        count: number of crops to draw.
        seed: seed of the draw.

    Yields:
        Number of the crop, from 0, and its wave, shape (16000,). Crops are in the order of `noises`, so that each noise
        clip is read once.

    Raises:
        InputError: no clip has at least one second.
    """
    long_enough = [clip for clip in noises if _length_s(noises, clip) >= 1]
    if not long_enough:
        raise InputError(
            f"{noises.folder}: all {len(noises)} noise clips are shorter than one second; add longer recordings"
        )
    rng = np.random.default_rng(seed)
    crops = {
        number: _Crop(int(rng.integers(len(long_enough))), rng.uniform(), rng.uniform(0, MAX_GAIN))
        for number in range(count)
    }
    for index, clip in enumerate(long_enough):
        drawn = {number: crop for number, crop in crops.items() if crop.noise == index}
        if drawn:
            wave = _read(noises, clip)
            for number, crop in drawn.items():
                start = int(crop.position * (len(wave) - SAMPLE_RATE + 1))
                yield number, np.float32(crop.gain) * wave[start : start + SAMPLE_RATE]


def write_silence(noises: Manifest, folder: Path, count: int, *, seed: int = 0) -> Manifest:
    """Draw one-second crops of background noise, and write them as `folder/_silence_/000.wav` and so on.

    Returns:
        A manifest of the files in the order of their numbers, with label `_silence_` and split test.
    """
    (folder / SILENCE).mkdir(parents=True, exist_ok=True)
    names = [f"{SILENCE}/{number:03}.wav" for number in range(count)]
    for number, wave in draw_silence(noises, count, seed=seed):
        audio.write(folder / names[number], wave)
    return Manifest(tuple(Clip(name, label=SILENCE, split="test") for name in names), folder)


def _length_s(noises: Manifest, clip: Clip) -> float:
    end_s = clip.end_s if clip.end_s is not None else audio.duration_s(noises.locate(clip))
    return end_s - clip.start_s


def _read(noises: Manifest, clip: Clip) -> Wave:
    end = None if clip.end_s is None else round(clip.end_s * SAMPLE_RATE)
    wave = audio.read(noises.locate(clip))[round(clip.start_s * SAMPLE_RATE) : end]
    # Rounding may remove the last sample of a clip of one second.
    return np.pad(wave, (0, max(0, SAMPLE_RATE - len(wave))))
