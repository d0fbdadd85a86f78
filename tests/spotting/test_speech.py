import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark import audio
from earmark.data.manifest import read_manifest
from earmark.spotting.speech import find_speech, signal_to_noise_db, spoken_parts

SILENT = -np.inf


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


def scale(wave, from_s, to_s, gain_db):
    """Change the level of a part of a wave, within 5 ms."""
    gain = np.ones(len(wave))
    gain[round(from_s * 16_000) : round(to_s * 16_000)] = 10 ** (gain_db / 20)
    return (wave * np.convolve(np.pad(gain, 40, mode="edge"), np.ones(81) / 81, "valid")).astype(np.float32)


@pytest.mark.parametrize("noise", [0.01, 0.0025, 0.0006], ids=["-40 dB", "-52 dB", "-64 dB"])
@pytest.mark.parametrize("margin_s", [0.25, 0.6])
@pytest.mark.parametrize(("zeros_before_s", "zeros_behind_s"), [(0, 0.4), (0.4, 0), (1.5, 1.5)])
def test_digital_silence_beside_the_noise_changes_nothing(say, hush, noise, margin_s, zeros_before_s, zeros_behind_s):
    word = say("rise", seconds=0.6, before_s=margin_s, after_s=margin_s, noise_db=SILENT)
    wave = word + hush(len(word) / 16_000, level=noise)
    wave = np.pad(wave, [round(seconds * 16_000) for seconds in (zeros_before_s, zeros_behind_s)])
    start_s = zeros_before_s + margin_s
    assert near(find_speech(wave), start_s, start_s + 0.6, within_s=0.08)


def test_a_word_without_noise_between_zeros_is_found(say):
    word = say("rise", seconds=0.6, before_s=0.5, after_s=0.5, noise_db=SILENT)
    assert near(find_speech(word), 0.5, 1.1)


@pytest.mark.parametrize("depth_db", [15, 25, 40, 80])
def test_a_noise_gate_that_opens_with_the_word_and_closes_after_it_is_no_speech(say, hush, depth_db):
    wave = say("rise", seconds=0.6, before_s=1.0, after_s=1.2) + hush(2.8, level=0.004)
    gated = scale(scale(wave, 0, 0.95, -depth_db), 1.9, 2.8, -depth_db)
    assert near(find_speech(gated), 1.0, 1.6, within_s=0.1)


@pytest.mark.parametrize("step_s", [0.4, 1.3, 1.8], ids=["before the word", "in the word", "after the word"])
@pytest.mark.parametrize("louder", ["before", "after"])
def test_a_step_in_the_level_of_noise_is_no_speech(say, hush, step_s, louder):
    noise = hush(2.8, level=0.006)
    noise = scale(noise, 0, step_s, -20) if louder == "after" else scale(noise, step_s, 2.8, -20)
    wave = say("rise", seconds=0.6, before_s=1.0, after_s=1.2, noise_db=SILENT) + noise
    assert near(find_speech(wave), 1.0, 1.6, within_s=0.1)


def test_noise_that_swells_is_no_speech(say, hush):
    swell = hush(2.8) * 10 ** (np.linspace(0, 20, round(2.8 * 16_000)) / 20)
    wave = say("rise", seconds=0.6, before_s=1.0, after_s=1.2, noise_db=SILENT) + swell.astype(np.float32)
    assert near(find_speech(wave), 1.0, 1.6, within_s=0.08)


@pytest.mark.parametrize(("from_s", "to_s"), [(0, 2.8), (0.5, 2.8), (0, 1.9)], ids=["stays", "starts", "stops"])
def test_hum_is_no_speech(say, hush, from_s, to_s):
    time_s = np.arange(round(2.8 * 16_000)) / 16_000
    hum = sum(np.sin(2 * np.pi * 50 * partial * time_s) / partial for partial in range(1, 9)) * 0.01
    hum[(time_s < from_s) | (time_s >= to_s)] = 0
    wave = say("rise", seconds=0.6, before_s=1.0, after_s=1.2, noise_db=SILENT) + hush(2.8) + hum.astype(np.float32)
    assert near(find_speech(wave), 1.0, 1.6, within_s=0.1)


@pytest.mark.parametrize("at_s", [0.5, 0.8, 1.85, 2.2])
def test_a_click_beside_the_word_is_not_part_of_it(say, at_s):
    wave = say("rise", seconds=0.6, before_s=1.0, after_s=1.2, noise_db=-60)
    wave[round(at_s * 16_000) :][:40] = 0.7
    assert near(find_speech(wave), 1.0, 1.6)


@pytest.mark.parametrize("pause_s", [0.2, 0.35, 0.5])
def test_a_second_voice_far_away_is_not_part_of_the_word(say, hush, pause_s):
    far = say("fall", seconds=0.7, before_s=0, after_s=0, level=0.008, noise_db=SILENT)
    word = say("rise", seconds=0.6, before_s=pause_s, after_s=pause_s, noise_db=SILENT)
    wave = np.pad(np.concatenate([far, word, far]), 8_000)
    wave = wave + hush(len(wave) / 16_000)
    start_s = 0.5 + 0.7 + pause_s
    assert near(find_speech(wave), start_s, start_s + 0.6)


@pytest.mark.corpora
@pytest.mark.parametrize(("word", "most"), [("athena", 0.06), ("heycomputer", 0.24), ("hadouken", 0.02)])
def test_takes_of_a_real_wake_word_are_found_at_similar_lengths(word: str, most: float) -> None:
    data = Path(os.environ.get("EARMARK_DATA", "../shared/data"))
    if not (data / "wake_words" / "manifest.tsv").exists():
        pytest.skip(f"no wake_words in {data}; set EARMARK_DATA")
    manifest = read_manifest(data / "wake_words" / "manifest.tsv")
    clips = [clip for clip in manifest.clips if (clip.label, clip.split) == (word, "choose")]
    found = [find_speech(audio.read(manifest.locate(clip))) for clip in clips]
    lengths_s = np.array([part[1] - part[0] for part in found if part is not None])
    assert len(lengths_s) >= 0.98 * len(clips)
    assert np.mean(lengths_s > 1.5 * np.median(lengths_s)) <= most


@pytest.mark.parametrize("noise_db", [-30, -20, -10])
def test_signal_to_noise_is_measured_within_three_db(say, noise_db):
    wave = say(300, 800, 300, seconds=0.8, before_s=0.6, noise_db=noise_db)
    word_power = 0.01 / 2 * (1 + 1 / 4 + 1 / 9)
    noise_power = 0.01 * 10 ** (noise_db / 10) * 0.91  # the share of the bands that are listened to
    assert signal_to_noise_db(wave) == pytest.approx(10 * np.log10(word_power / noise_power), abs=3)


def test_signal_to_noise_is_unknown_without_noise_to_measure(say, hush):
    assert signal_to_noise_db(say("rise", before_s=0.02, after_s=0.02)) is None
    assert signal_to_noise_db(hush(1.0)) is None
