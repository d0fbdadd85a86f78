import numpy as np
import pytest
import torch

from earmark.core.audio import SAMPLE_RATE
from earmark.training.batches.augment.room import Rooms, RoomSettings, convolve, fit


def rooms(responses=(), **settings):
    return Rooms(RoomSettings(**{"probability": 1.0} | settings), list(responses), torch.device("cpu"))


@pytest.fixture
def clicks():
    waves = torch.zeros(8, 16_000)
    waves[torch.arange(8), 1000 + 1500 * torch.arange(8)] = 0.5
    return waves


@pytest.mark.parametrize("made", [0.0, 1.0])
def test_the_direct_sound_is_not_delayed(clicks, made):
    measured = torch.zeros(3, 9000)
    measured[:, 700] = 1.0
    measured[:, 2500] = -0.4
    augmented = rooms(measured, made=made, direct_db=(6.0, 15.0))(clicks, torch.Generator().manual_seed(0))
    assert torch.equal(augmented.abs().argmax(1), clicks.argmax(1))
    assert (augmented[:, :900].abs() < 1e-5).all()


@pytest.mark.parametrize("made", [0.0, 1.0])
def test_the_energy_is_kept(made):
    generator = torch.Generator().manual_seed(1)
    waves = torch.randn(6, 16_000, generator=generator) * torch.logspace(-3, 0, 6)[:, None]
    measured = [torch.randn(4000, generator=generator) * torch.logspace(0, -3, 4000)]
    augmented = rooms(measured, made=made)(waves, generator)
    assert torch.allclose(augmented.square().sum(1), waves.square().sum(1), rtol=1e-3)
    assert not torch.allclose(augmented, waves, atol=1e-3)


def test_at_probability_0_waves_do_not_change(clicks):
    assert torch.equal(rooms(probability=0.0)(clicks, torch.Generator().manual_seed(0)), clicks)


def test_silence_stays_silence():
    silence = torch.zeros(2, 8000)
    assert torch.equal(rooms()(silence, torch.Generator()), silence)


@pytest.mark.parametrize("rt60_s", [0.15, 0.3, 0.5])
def test_a_synthetic_room_has_the_given_reverberation_time(rt60_s):
    made = rooms(rt60_s=(rt60_s, rt60_s)).synthesize(4, torch.Generator().manual_seed(2))
    for response in made.numpy():
        # Schroeder: the decay curve is the remaining energy. RT60 is three times its fall from -5 to -25 dB.
        tail = response[SAMPLE_RATE // 500 :].astype(np.float64) ** 2
        decay_db = 10 * np.log10(np.cumsum(tail[::-1])[::-1] / tail.sum())
        time_s = [np.argmax(decay_db < level) / SAMPLE_RATE for level in (-5, -25)]
        assert 3 * (time_s[1] - time_s[0]) == pytest.approx(rt60_s, rel=0.12)


@pytest.mark.parametrize("direct_db", [-2.0, 10.0])
def test_a_synthetic_room_has_the_given_direct_to_reverberant_ratio(direct_db):
    made = rooms(direct_db=(direct_db, direct_db)).synthesize(3, torch.Generator().manual_seed(3))
    ratio = 10 * torch.log10(made[:, 0].square() / made[:, 1:].square().sum(1))
    assert ratio.tolist() == pytest.approx([direct_db] * 3, abs=0.01)


def test_convolution_is_that_of_numpy():
    generator = torch.Generator().manual_seed(4)
    waves, responses = torch.randn(2, 300, generator=generator), torch.randn(2, 90, generator=generator)
    expected = [np.convolve(w, r)[:300] for w, r in zip(waves.numpy(), responses.numpy(), strict=True)]
    assert np.allclose(convolve(waves, responses).numpy(), expected, atol=1e-4)


def test_responses_are_cut_or_zero_padded():
    assert fit(torch.ones(5), 3).tolist() == [1, 1, 1]
    assert fit(torch.ones(2), 3).tolist() == [1, 1, 0]
