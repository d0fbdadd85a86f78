import librosa
import numpy as np
import pytest

from earmark.evaluation.log_mel import log_mel, mel_filters


def test_bands_are_those_of_librosa_up_to_their_weights():
    low, high = 60.0, 7600.0
    theirs = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=40, fmin=low, fmax=high, htk=True, norm=None)
    ours = mel_filters().T
    # librosa's triangles are linear in hertz, ours in mel; their corners and peaks are the same.
    assert np.abs(ours - theirs).max() < 0.06
    np.testing.assert_array_equal(ours.argmax(axis=1)[8:], theirs.argmax(axis=1)[8:])


@pytest.mark.parametrize("hz", [200, 1000, 5000])
def test_a_tone_is_loudest_in_the_band_around_it(hz):
    tone = np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000).astype(np.float32)
    band = log_mel(tone).mean(axis=0).argmax()
    low, high = 2595 * np.log10(1 + np.array([60, 7600]) / 700)
    center = np.linspace(low, high, 42)[1:-1][band]
    assert abs(center - 2595 * np.log10(1 + hz / 700)) < 70


def test_ten_times_the_amplitude_shifts_the_log_spectrum():
    wave = 0.01 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    np.testing.assert_allclose(log_mel(10 * wave) - log_mel(wave), 2 * np.log(10), rtol=1e-3)


@pytest.mark.parametrize("length", [1, 159, 160, 161, 16_001])
def test_there_is_a_frame_every_ten_milliseconds(length):
    assert log_mel(np.ones(length, np.float32)).shape == (-(-length // 160), 40)


def test_blocks_of_frames_give_the_same_frames():
    wave = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    whole = log_mel(wave)
    np.testing.assert_array_equal(log_mel(wave, block_frames=7), whole)
