import pytest
import torch

from earmark.training.batches.recordings import Crops, Recordings

CPU = torch.device("cpu")


@pytest.fixture
def recordings():
    return Recordings([torch.arange(10.0), torch.arange(100.0, 104.0)], CPU)


def test_a_crop_is_a_part_of_its_recording(recordings):
    crops = Crops(torch.tensor([0, 0]), torch.tensor([0, 4]))
    assert recordings.cut(crops, 6).tolist() == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9]]


def test_a_recording_that_is_too_short_is_tiled(recordings):
    crops = Crops(torch.tensor([1, 1]), torch.tensor([0, 3]))
    assert recordings.cut(crops, 9).tolist() == [
        [100, 101, 102, 103, 100, 101, 102, 103, 100],
        [103, 100, 101, 102, 103, 100, 101, 102, 103],
    ]


def test_every_start_that_fits_is_drawn(recordings):
    generator = torch.Generator().manual_seed(0)
    for size, starts in ((6, range(5)), (10, range(1)), (11, range(10))):
        crops = recordings.plan(torch.zeros(200, dtype=torch.int64), size, generator)
        assert set(crops.start.tolist()) == set(starts)


@pytest.mark.parametrize("size", [3, 10, 25])
def test_gathering_equals_copying(recordings, size):
    generator = torch.Generator().manual_seed(0)
    crops = recordings.plan(torch.randint(2, (50,), generator=generator), size, generator)
    assert torch.equal(recordings.gather(crops, size), recordings.copy(crops, size))


def test_no_crops_of_no_recordings_are_an_empty_batch():
    none = Crops(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    assert Recordings([], CPU).cut(none, 5).shape == (0, 5)
