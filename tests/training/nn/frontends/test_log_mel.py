import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from earmark import audio, demo
from earmark.training.nn.frontends import LogMelSettings
from earmark.training.nn.frontends.log_mel import mel_triangles

librosa = pytest.importorskip("librosa", reason="librosa is the oracle of the frontends' tests")


@pytest.fixture(scope="module")
def waves():
    """Three spoken takes, noise, and a tone in noise, a second each.

    The noise is loud enough: 70 dB below a pure tone, the rounding of 32-bit numbers shows.
    """
    rng = np.random.default_rng(0)
    time_s = np.arange(16_000) / 16_000
    spoken = [audio.read(path)[:16_000] for path in demo.take_files()[:3]]
    made = [0.1 * rng.standard_normal(16_000), 0.3 * np.sin(2 * np.pi * 700 * time_s) + rng.normal(0, 0.02, 16_000)]
    return torch.tensor(np.stack([*spoken, *made]), dtype=torch.float32)


def by_librosa(wave, settings):
    style = {"htk": True, "norm": None} if settings.scale == "htk" else {"htk": False, "norm": "slaney"}
    mel = librosa.feature.melspectrogram(
        y=wave.numpy(),
        sr=16_000,
        n_fft=settings.points,
        win_length=settings.window,
        hop_length=settings.hop,
        n_mels=settings.n_mels,
        fmin=settings.low_hz,
        fmax=settings.high_hz,
        pad_mode="reflect",
        **style,
    )
    if settings.compression == "db":
        return librosa.power_to_db(mel, amin=settings.floor, top_db=settings.range_db or None).T
    return np.log(np.maximum(mel, settings.floor)).T


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_fft": 512},
        {"n_mels": 64, "n_fft": 1024, "window_s": 0.032},
        {"scale": "slaney", "low_hz": 20.0, "high_hz": 4000.0, "window_s": 0.03},
        {"compression": "db", "floor": 1e-10, "range_db": 80.0},
        {"compression": "db", "range_db": 30.0, "hop_s": 0.02},
    ],
)
def test_the_frames_are_those_of_librosa(waves, changes):
    settings = LogMelSettings(**changes)
    frames = settings.build()(waves)
    assert frames.shape == (len(waves), settings.frames(16_000), settings.features)
    for ours, wave in zip(frames, waves, strict=True):
        assert np.allclose(ours.numpy(), by_librosa(wave, settings), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_the_filters_are_those_of_librosa(scale):
    settings = LogMelSettings(n_mels=50, n_fft=1024, low_hz=30, high_hz=7600, scale=scale)
    style = {"htk": True, "norm": None} if scale == "htk" else {"htk": False, "norm": "slaney"}
    expected = librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=50, fmin=30, fmax=7600, dtype=np.float64, **style)
    assert np.allclose(mel_triangles(settings), expected.T, rtol=1e-9, atol=1e-12)


def test_the_range_is_relative_to_each_clip(waves):
    log_mel = LogMelSettings(compression="db", floor=1e-10, range_db=20.0).build()
    quiet = waves[:1] * 1e-3
    together = log_mel(torch.cat([quiet, waves]))
    assert torch.allclose(together[:1], log_mel(quiet), atol=1e-5)
    assert together[0].max() - together[0].min() <= 20 + 1e-4


def test_a_range_is_in_decibels_with_either_compression(waves):
    decibels, logarithms = (
        LogMelSettings(compression=compression, range_db=25.0).build()(waves) for compression in ("db", "log")
    )
    assert torch.allclose(decibels * math.log(10) / 10, logarithms, atol=1e-5)


def test_silence_is_the_floor_and_has_a_finite_gradient():
    silence = torch.zeros(2, 8000, requires_grad=True)
    frames = LogMelSettings(floor=1e-5).build()(silence)
    assert torch.allclose(frames, torch.tensor(math.log(1e-5)))
    frames.sum().backward()
    assert silence.grad is not None
    assert torch.isfinite(silence.grad).all()


@pytest.mark.parametrize(("samples", "n_fft"), [(16_000, 0), (15_999, 512), (8000, 501)])
def test_the_settings_compute_the_number_of_frames(samples, n_fft):
    settings = LogMelSettings(n_fft=n_fft)
    assert settings.build()(torch.zeros(1, samples)).shape[1] == settings.frames(samples)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_fft": 256}, "n_fft"),
        ({"low_hz": 4000, "high_hz": 300}, "low_hz"),
        ({"n_mels": 128}, "n_mels"),
        ({"hop_s": 1e-6}, "window_s, hop_s"),
        ({"high_hz": 9000}, "high_hz"),
    ],
)
def test_settings_that_make_no_frames_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        LogMelSettings(**changes)
