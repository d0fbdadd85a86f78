import numpy as np
import pytest

from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.crops import center_crop, random_crops
from earmark.training.batches.tiled_crop import TiledCropSettings

SIZE = 16
WAVES = {name: np.arange(1, length + 1, dtype=np.float32) for name, length in (("short", 5), ("long", 40))}


def tiled(**settings):
    return TiledCropSettings(length_s=SIZE / 16_000, **settings)


def test_the_center_crop_of_a_long_wave_is_the_same_for_all_settings():
    for crop in (CenterCropSettings(length_s=SIZE / 16_000), tiled(), tiled(tile=False)):
        assert center_crop(WAVES["long"], crop).tolist() == list(range(13, 29))


def test_a_short_wave_is_tiled_where_training_tiles():
    assert center_crop(WAVES["short"], tiled()).tolist() == [1 + i % 5 for i in range(SIZE)]
    assert center_crop(WAVES["short"], tiled(tile=False)).tolist() == [0] * 5 + [1, 2, 3, 4, 5] + [0] * 6


def test_crops_depend_on_seed_and_wave_only():
    one, same, other = (random_crops(WAVES["long"], tiled(), 10, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", WAVES)
def test_every_crop_is_a_part_of_the_tiled_wave_in_either_direction(name):
    wave = WAVES[name]
    crops = random_crops(wave, tiled(), 500, seed=0)
    assert crops.shape == (500, SIZE)
    steps = np.diff(crops, axis=1)
    backwards = (steps == -1).sum(axis=1) > (steps == 1).sum(axis=1)
    assert backwards.mean() == pytest.approx(0.5, abs=0.1)
    forwards = np.where(backwards[:, None], crops[:, ::-1], crops)
    first = forwards[:, 0] - 1
    np.testing.assert_array_equal(forwards, (first[:, None] + np.arange(SIZE)) % len(wave) + 1)
    assert set(first.tolist()) == set(range(len(wave)))


def test_crops_of_center_crop_settings_are_inside_the_clip():
    crops = random_crops(WAVES["long"], CenterCropSettings(length_s=SIZE / 16_000), 300, seed=0)
    assert set(crops[:, 0].tolist()) == set(range(1, 26))
    assert (np.diff(crops, axis=1) == 1).all()
