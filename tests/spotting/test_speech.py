import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.spotting.speech import find_speech, signal_to_noise_db, spoken_parts


def near(found, start_s, end_s, within_s=0.06):
    return found is not None and abs(found[0] - start_s) <= within_s and abs(found[1] - end_s) <= within_s


@pytest.mark.parametrize("noise_db", [-60, -40, -25, -15, -8])
def test_a_word_is_found_in_quiet_and_in_loud_noise(say, noise_db):
    wave = say("rise", seconds=0.6, before_s=0.5, after_s=0.7, noise_db=noise_db)
    assert near(find_speech(wave), 0.5, 1.1)


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.0, 8.0])
def test_loudness_does_not_matter(say, gain):
    wave = say("fall", before_s=0.5)
    found = find_speech(wave)
    assert found is not None
    assert near(find_speech(gain * wave), *found, within_s=0.02)


@pytest.mark.parametrize(
    "wave",
    [np.zeros(16_000), np.full(16_000, 0.3), 1e-5 * np.ones(16_000), np.zeros(0), np.zeros(1), np.zeros(100)],
    ids=["silence", "offset", "tiny offset", "empty", "one sample", "six milliseconds"],
)
def test_silence_and_noise_contain_no_speech(wave):
    assert find_speech(wave.astype(np.float32)) is None


@given(seed=st.integers(0, 10_000), level=st.sampled_from([1e-4, 0.003, 0.1, 0.5]), seconds=st.floats(0.5, 6))
@settings(max_examples=40)
def test_steady_noise_is_no_speech(seed, level, seconds):
    noise = level * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))
    assert find_speech(noise.astype(np.float32)) is None


def test_a_click_is_no_speech_however_loud(hush, say):
    clicked = hush(1.0)
    clicked[8000:8040] = 0.9
    assert find_speech(clicked) is None
    word = say("rise", before_s=0.8)
    word[2000:2040] = 0.9
    assert near(find_speech(word), 0.8, 1.4)


def test_the_closure_of_a_plosive_stays_inside_the_word(hush):
    rng = np.random.default_rng(1)
    time_s = np.arange(4800) / 16_000
    vowel = 0.1 * np.sin(2 * np.pi * 250 * time_s) * np.hanning(4800) ** 0.2
    burst = 0.02 * rng.standard_normal(480)
    wave = hush(0.5 + 0.3 + 0.12 + 0.03 + 0.5, level=0.0005)
    wave[8000:12800] += vowel.astype(np.float32)
    wave[14_720:15_200] += burst.astype(np.float32)
    assert near(find_speech(wave), 0.5, 0.95)


def test_a_weak_fricative_at_the_end_belongs_to_the_word(hush):
    wave = hush(1.6, level=0.0003)
    time_s = np.arange(6400) / 16_000
    wave[8000:14_400] += (0.15 * np.sin(2 * np.pi * 200 * time_s)).astype(np.float32)
    hiss = np.diff(np.random.default_rng(2).standard_normal(2401)) * 0.004  # 30 dB below the vowel
    wave[14_400:16_800] += hiss.astype(np.float32)
    assert near(find_speech(wave), 0.5, 1.05)


def test_a_cut_out_word_is_returned_whole(say):
    cut_out = say("rise", seconds=0.3, before_s=0, after_s=0.02)
    assert find_speech(cut_out) == (0.0, 0.32)


def test_words_with_a_short_pause_are_one_and_with_a_long_one_two(say, hush):
    def said_apart(pause_s):
        first, second = (
            say(word, before_s=0, after_s=0, level=level) for word, level in (("rise", 0.1), ("fall", 0.2))
        )
        pause = np.zeros(round(pause_s * 16_000), np.float32)
        wave = np.concatenate([first, pause, second])
        return np.pad(wave, 8000) + hush(len(wave) / 16_000 + 1)

    assert near(find_speech(said_apart(0.2)), 0.5, 1.9)
    assert len(spoken_parts(said_apart(0.6))) == 2
    assert near(find_speech(said_apart(0.6)), 1.7, 2.3)


@pytest.mark.parametrize("noise_db", [-30, -20, -10])
def test_signal_to_noise_is_measured_within_three_db(say, noise_db):
    wave = say(300, 800, 300, seconds=0.8, before_s=0.6, noise_db=noise_db)
    word_power = 0.01 / 2 * (1 + 1 / 4 + 1 / 9)
    noise_power = 0.01 * 10 ** (noise_db / 10) * 0.91  # the share of the bands that are listened to
    assert signal_to_noise_db(wave) == pytest.approx(10 * np.log10(word_power / noise_power), abs=3)


def test_signal_to_noise_is_unknown_without_noise_to_measure(say, hush):
    assert signal_to_noise_db(say("rise", before_s=0.02, after_s=0.02)) is None
    assert signal_to_noise_db(hush(1.0)) is None
