import numpy as np
import pytest
import torch

from earmark.training.batches.tiled_crop import TiledCrops, TiledCropSettings

CPU = torch.device("cpu")
LENGTHS = (9, 16, 23, 100, 1, 16)
SIZE = 16


@pytest.fixture
def bank(bank_of):
    """Clips of consecutive numbers, so that no two samples are equal."""
    samples = np.arange(1, sum(LENGTHS) + 1) * 100 / 32767
    return bank_of(np.split(samples, np.cumsum(LENGTHS)[:-1]), silence_s=0)


def clips(bank, **settings):
    return TiledCrops(bank, TiledCropSettings(length_s=SIZE / 16_000, **settings), CPU)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(ours, clip, count=400):
    return ours.draw(ours.plan(torch.full((count,), clip), seeded())).numpy()


@pytest.mark.parametrize("clip", range(6))
def test_a_crop_begins_anywhere_and_wraps_at_the_end(bank, clip):
    wave = bank.wave(clip)
    starts = set()
    for crop in drawn(clips(bank, reversal=0), clip, 2000):
        first = int(np.flatnonzero(wave == crop[0])[0])
        np.testing.assert_array_equal(crop, [wave[(first + i) % len(wave)] for i in range(SIZE)])
        starts.add(first)
    assert starts == set(range(len(wave)))


def test_half_of_the_crops_are_reversed(bank):
    crops = drawn(clips(bank, tile=False), 3, 2000)
    backwards = crops[:, 0] > crops[:, -1]
    assert backwards.mean() == pytest.approx(0.5, abs=0.05)
    assert (np.diff(crops[backwards], axis=1) < 0).all()
    assert (np.diff(crops[~backwards], axis=1) > 0).all()


def test_without_tile_a_crop_is_inside_its_recording(bank):
    crops = drawn(clips(bank, tile=False, reversal=0), 2)
    wave = bank.wave(2)
    assert {tuple(crop) for crop in crops} == {tuple(wave[i : i + SIZE]) for i in range(len(wave) - SIZE + 1)}


def test_without_tile_a_short_recording_is_zero_padded(bank):
    wave = bank.wave(0)
    places = {tuple(np.pad(wave, (i, SIZE - len(wave) - i))) for i in range(SIZE - len(wave) + 1)}
    assert {tuple(crop) for crop in drawn(clips(bank, tile=False, reversal=0), 0)} == places


@pytest.mark.parametrize("tile", [True, False])
def test_gathering_equals_copying(bank, tile):
    ours = clips(bank, tile=tile)
    plan = ours.plan(torch.randint(6, (200,), generator=seeded(1)), seeded(2))
    given = plan.clip, plan.first, plan.is_reversed
    assert torch.equal(ours.gather(*given), ours.copy(*given))


@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 20), slice(0, 50), slice(7, 7)])
def test_some_rows_of_a_plan_have_the_bits_of_the_whole_plan(bank, rows):
    ours = clips(bank)
    plan = ours.plan(torch.randint(6, (50,), generator=seeded(1)), seeded(2))
    assert torch.equal(ours.draw(plan, rows), ours.draw(plan)[rows])


def test_one_seed_gives_one_plan(bank):
    ours = clips(bank)
    one, same, other = (ours.draw(ours.plan(torch.tensor([0, 1, 3]), seeded(seed))) for seed in (4, 4, 5))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
