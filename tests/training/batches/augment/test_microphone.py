import numpy as np
import pytest
import torch

from earmark.training.batches.augment.microphone import MicrophoneSettings, through_microphone
from earmark.training.batches.augment.noise import spoken_power

SPOKEN = torch.tensor([[4000, 12_000]] * 6)


@pytest.fixture
def waves():
    return torch.randn(6, 16_000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-4, 0, 6)[:, None]


def recorded(waves, **settings):
    return through_microphone(waves, SPOKEN, MicrophoneSettings(**settings), torch.Generator().manual_seed(1))


@pytest.mark.parametrize("level_db", [-45.0, -20.0])
def test_the_spoken_part_gets_the_given_level(waves, level_db):
    power = spoken_power(recorded(waves, level_db=(level_db, level_db)), SPOKEN)
    assert (10 * torch.log10(power)).tolist() == pytest.approx([level_db] * 6, abs=0.05)


def test_levels_are_in_the_range(waves):
    level_db = 10 * torch.log10(spoken_power(recorded(waves, level_db=(-40.0, -25.0)), SPOKEN))
    assert ((level_db > -40.1) & (level_db < -24.9)).all()
    assert level_db.std() > 1


def test_loud_waves_are_clipped_to_full_scale(waves):
    loud = recorded(waves, level_db=(0.0, 0.0))
    assert loud.abs().max() == 1
    assert (loud.abs() == 1).float().mean() > 0.1


def test_without_tilt_and_ripple_the_wave_is_only_scaled(waves):
    plain = recorded(waves, tilt_db=0.0, ripple_db=0.0, level_db=(-30.0, -30.0))
    ratio = plain / waves
    assert torch.allclose(ratio, ratio.median(1, keepdim=True).values.expand_as(ratio), rtol=0.05)


def test_tilt_is_at_most_the_maximum():
    waves = torch.randn(6, 16_000, generator=torch.Generator().manual_seed(0))
    tilted = recorded(waves, tilt_db=3.0, ripple_db=0.0, level_db=(-30.0, -30.0))
    gain_db = 20 * torch.log10(torch.fft.rfft(tilted).abs() / torch.fft.rfft(waves).abs()).numpy()
    slope = (gain_db[:, 2000] - gain_db[:, 500]) / np.log2(4)
    assert (np.abs(slope) < 3.01).all()
    assert np.ptp(slope) > 1


def test_silence_stays_silence():
    assert torch.equal(recorded(torch.zeros(6, 16_000)), torch.zeros(6, 16_000))
