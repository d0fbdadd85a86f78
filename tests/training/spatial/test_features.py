import numpy as np
import pytest
import torch

from earmark import audio, demo
from earmark.training.nn.encoders.dense import LIBROSA_MFCC, flat
from earmark.training.spatial.features import POSITION_MEL, MelPower, compute_features

librosa = pytest.importorskip("librosa", reason="librosa is the oracle of the features' tests")


@pytest.fixture(scope="module")
def waves():
    """Takes of a keyword, noise and silence, a second each."""
    spoken = [audio.read(path)[:16_000] for path in demo.take_files()[:3]]
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    return torch.tensor(np.stack([*spoken, noise, np.zeros(16_000)]).astype(np.float32))


def test_mfcc_are_what_librosa_gives_where_nothing_is_set(waves):
    rows = flat(LIBROSA_MFCC.build()(waves))
    assert rows.shape == (5, 640)
    for ours, wave in zip(rows, waves, strict=True):
        theirs = librosa.feature.mfcc(y=wave.numpy() * 32768, sr=16_000)
        assert theirs.shape == (20, 32)
        assert np.allclose(ours.numpy(), theirs.ravel(), rtol=0, atol=2e-3)


def test_position_features_are_the_mel_power_of_librosa(waves):
    rows = flat(MelPower()(waves)).numpy()
    assert rows.shape == (5, 4096)
    for ours, wave in zip(rows, waves, strict=True):
        theirs = librosa.feature.melspectrogram(
            y=wave.numpy() * 32768, sr=16_000, n_fft=1025, hop_length=512, n_mels=128, power=2.0
        ).ravel()
        assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-5 * theirs.max(initial=0))


def test_an_odd_number_of_points_gives_as_many_frames_as_an_even_one():
    assert POSITION_MEL.points == 1025
    assert POSITION_MEL.frames(16_000) == LIBROSA_MFCC.frames(16_000) == 32


def test_features_are_computed_once_and_read_again(tmp_path, bank_of, tone):
    bank = bank_of([tone(frequency, 0.3) for frequency in (300, 500, 700)])
    path = tmp_path / "mfcc.npy"
    clips = np.array([2, 0])
    found = compute_features(bank, clips, LIBROSA_MFCC.build(), path, length_s=1.0)
    assert isinstance(found, np.memmap)
    assert found.shape == (2, 640)

    def never(_):
        raise AssertionError("computed again")

    again = compute_features(bank, clips, never, path, length_s=1.0)
    assert np.array_equal(found, again)
    assert [file.name for file in tmp_path.iterdir()] == ["mfcc.npy"]


def test_a_row_is_that_of_the_clip_alone(tmp_path, bank_of, tone):
    bank = bank_of([tone(frequency, 0.3) for frequency in (300, 500, 700)])
    frontend = LIBROSA_MFCC.build()
    both = compute_features(bank, np.array([0, 1]), frontend, tmp_path / "both.npy", length_s=1.0)
    one = compute_features(bank, np.array([1]), frontend, tmp_path / "one.npy", length_s=1.0)
    assert np.allclose(both[1], one[0], atol=1e-4)
