import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from earmark import audio, demo
from earmark.training.nn.frontends import FrontendSettings, LogMelSettings, MfccSettings

librosa = pytest.importorskip("librosa", reason="librosa is the oracle of the frontends' tests")

TANG_AND_LIN = {"low_hz": 20.0, "high_hz": 4000.0, "scale": "slaney", "compression": "log", "range_db": 0.0}


@pytest.fixture(scope="module")
def waves():
    """Takes of a keyword, and noise, one second each."""
    spoken = [audio.read(path)[:16_000] for path in demo.take_files()]
    return torch.tensor(np.stack([*spoken, 0.1 * np.random.default_rng(0).standard_normal(16_000)]).astype(np.float32))


def by_librosa(wave, count, **mel):
    power = librosa.feature.melspectrogram(
        y=wave.numpy(), sr=16_000, n_fft=480, hop_length=160, n_mels=40, pad_mode="reflect", **mel
    )
    levels = librosa.power_to_db(power, top_db=80) if mel.get("htk") else np.log(power)
    return librosa.feature.mfcc(S=levels, n_mfcc=count, dct_type=2, norm="ortho").T


@pytest.mark.parametrize("count", [13, 40])
def test_the_defaults_of_jung_agree_with_librosa(waves, count):
    frames = MfccSettings(coefficients=count).build()(waves)
    assert frames.shape == (6, 101, count)
    for ours, wave in zip(frames, waves, strict=True):
        assert np.allclose(ours.numpy(), by_librosa(wave, count, htk=True, norm=None), rtol=0, atol=1e-4)


def test_the_settings_of_tang_and_lin_agree_with_librosa(waves):
    frames = MfccSettings(**TANG_AND_LIN).build()(waves)
    for ours, wave in zip(frames, waves, strict=True):
        assert np.allclose(ours.numpy(), by_librosa(wave, 40, fmin=20, fmax=4000), rtol=0, atol=1e-4)


def test_the_defaults_are_the_published_numbers():
    settings = MfccSettings()
    assert (settings.window, settings.hop, settings.points) == (480, 160, 480)
    assert (settings.n_mels, settings.coefficients, settings.low_hz, settings.high_hz) == (40, 40, 0, 8000)
    assert (settings.scale, settings.compression, settings.range_db) == ("htk", "db", 80)


def test_twice_as_loud_moves_the_zeroth_coefficient_alone(waves):
    mfcc = MfccSettings(range_db=0, floor=1e-20).build()
    moved = mfcc(2 * waves) - mfcc(waves)
    assert torch.allclose(moved[..., 0], torch.tensor(20 * np.log10(2) * 40**0.5, dtype=torch.float32), atol=1e-3)
    assert torch.allclose(moved[..., 1:], torch.zeros(()), atol=1e-3)


def test_silence_has_finite_features_and_gradients():
    silence = torch.zeros(2, 16_000, requires_grad=True)
    frames = MfccSettings().build()(silence)
    assert torch.allclose(frames[..., 0], torch.tensor(-100 * 40**0.5), atol=1e-2)
    frames.square().sum().backward()
    assert silence.grad is not None
    assert torch.isfinite(silence.grad).all()


def test_the_kind_chooses_the_settings_and_defaults_to_mfcc():
    frontend = TypeAdapter(FrontendSettings)
    assert frontend.validate_python({"kind": "log_mel", "n_mels": 80, "n_fft": 512}).features == 80
    assert frontend.validate_python({"coefficients": 20}) == MfccSettings(coefficients=20)
    assert frontend.validate_python(LogMelSettings()) == LogMelSettings()
    with pytest.raises(ValidationError):
        frontend.validate_python({"kind": "log_mel", "coefficients": 20})


def test_more_coefficients_than_bands_are_refused():
    with pytest.raises(ValidationError, match="coefficients"):
        MfccSettings(n_mels=20, coefficients=21)
