import numpy as np
import pytest
import torch
from pydantic import ValidationError

from earmark.core.audio import SAMPLE_RATE
from earmark.training.batches.scenes import Scenes, SceneSettings

CALM = {"length_s": 2.0, "margin_s": 0.4, "speed": (1.0, 1.0), "neighbor": 0.0}


def draw(bank, clips, seed=0, **settings):
    scenes = Scenes(bank, SceneSettings(**CALM | settings), torch.device("cpu"))
    return scenes.draw(torch.tensor(clips), torch.Generator().manual_seed(seed))


def pitch_hz(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 16))
    return spectrum.argmax() * SAMPLE_RATE / (1 << 16)


def test_the_spoken_span_is_where_the_word_is(bank_of, tone):
    scenes = draw(bank_of([tone(1000, 0.4)]), [0] * 20)
    assert scenes.waves.shape == (20, 32_000)
    for wave, (first, last) in zip(scenes.waves.numpy(), scenes.spoken.tolist(), strict=True):
        (loud,) = np.nonzero(np.abs(wave) > 0.01)
        assert loud[0] == pytest.approx(first, abs=3)
        assert loud[-1] + 1 == pytest.approx(last, abs=3)
        assert 0.4 * SAMPLE_RATE <= first < last <= 1.6 * SAMPLE_RATE
    assert len(set(scenes.spoken[:, 0].tolist())) > 15


def test_every_spoken_part_has_the_same_level(bank_of, tone):
    scenes = draw(bank_of([tone(700, 0.5, level=level) for level in (0.003, 0.05, 0.6)]), [0, 1, 2])
    for wave, (first, last) in zip(scenes.waves, scenes.spoken.tolist(), strict=True):
        assert wave[first:last].square().mean().sqrt().item() == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_speed_changes_length_and_pitch(bank_of, tone, speed):
    scenes = draw(bank_of([tone(1000, 0.4)]), [0], speed=(speed, speed))
    first, last = scenes.spoken[0].tolist()
    assert last - first == pytest.approx(0.4 * SAMPLE_RATE / speed, abs=2)
    assert pitch_hz(scenes.waves[0, first:last].numpy()) == pytest.approx(1000 * speed, rel=0.005)


def test_neighbors_are_audible_outside_the_gap_only(bank_of, tone):
    # The drawn word is the only one of 1 kHz. Its neighbors are of 500 Hz, unless the word is its own neighbor.
    bank = bank_of([tone(1000, 0.3), *(tone(500, 1.5) for _ in range(30))])
    scenes = draw(bank, [0] * 10, neighbor=1.0, gap_s=(0.1, 0.1), neighbor_db=0.0)
    gap = round(0.1 * SAMPLE_RATE)
    for wave, (first, last) in zip(scenes.waves.numpy(), scenes.spoken.tolist(), strict=True):
        assert np.abs(wave[first - gap + 2 : first - 2]).max() < 1e-3
        assert np.abs(wave[last + 2 : last + gap - 2]).max() < 1e-3
        assert pitch_hz(wave[first:last]) == pytest.approx(1000, rel=0.01)
        beyond = [wave[first - gap - 1600 : first - gap - 160], wave[last + gap + 160 : last + gap + 1600]]
        assert [float(np.sqrt(np.mean(piece**2))) for piece in beyond] == pytest.approx([0.1, 0.1], rel=0.05)


def test_neighbors_have_levels_within_the_range_of_the_settings(bank_of, tone):
    bank = bank_of([tone(1000, 0.3)] * 2)
    scenes = draw(bank, [0] * 40, neighbor=1.0, gap_s=(0.05, 0.05), neighbor_db=6.0)
    levels = []
    for wave, (_, last) in zip(scenes.waves, scenes.spoken.tolist(), strict=True):
        begin = last + round(0.06 * SAMPLE_RATE)
        levels.append(20 * np.log10(wave[begin : begin + 1600].square().mean().sqrt().item() / 0.1))
    assert -6.3 < min(levels) < -3
    assert 3 < max(levels) < 6.3


def test_a_word_that_is_too_long_is_cut_at_a_random_position(bank_of, tone):
    scenes = draw(bank_of([tone(1000, 3.0)]), [0] * 4)
    assert scenes.spoken.tolist() == [[6400, 25_600]] * 4


def test_the_same_generator_draws_the_same_scenes(bank_of, tone):
    bank = bank_of([tone(1000, 0.3), tone(2000, 0.5)])
    one, same, other = (draw(bank, [0, 1, 0], seed, neighbor=0.5, speed=(0.9, 1.1)) for seed in (4, 4, 5))
    assert torch.equal(one.waves, same.waves)
    assert not torch.equal(one.waves, other.waves)


@pytest.mark.parametrize("wrong", [{"margin_s": 0.9}, {"speed": (0.0, 1.0)}, {"neighbors": 0.5}, {"length_s": 0.5}])
def test_settings_that_make_no_scene_are_refused(wrong):
    with pytest.raises(ValidationError):
        SceneSettings(**CALM | wrong)
