import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from earmark import audio, demo
from earmark.core.errors import InputError
from earmark.training.nn.encoders.res import ResSettings
from earmark.training.nn.frontends import FrontendSettings, MagnitudeSettings

SAMPLES = 48_241


@pytest.fixture(scope="module")
def waves():
    """Takes of a keyword, repeated to fill the clip, and noise with an offset."""
    spoken = [np.resize(audio.read(path), SAMPLES) for path in demo.take_files()[:3]]
    noise = 0.2 + 0.1 * np.random.default_rng(0).standard_normal(SAMPLES)
    return torch.tensor(np.stack([*spoken, noise]).astype(np.float32))


def frame_by_frame(wave, *, pre_emphasis=0.97, window=400, hop=160, n_fft=512, normalize=True):
    wave = np.float64(wave)
    wave = wave - wave.mean()
    wave = np.array([wave[i] - pre_emphasis * wave[i - 1] for i in range(1, len(wave))])
    frames, begin = [], 0
    while begin + window <= len(wave):
        frames.append(np.abs(np.fft.rfft(wave[begin : begin + window] * np.hamming(window), n_fft)))
        begin += hop
    if not normalize:
        return np.stack(frames)
    return np.stack([(line - line.mean()) / line.std() for line in np.stack(frames).T]).T


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize": False},
        {"pre_emphasis": 0.0, "normalize": False},
        {"window_s": 0.032, "hop_s": 0.016},
        {"n_fft": 400, "pre_emphasis": 0.9},
    ],
)
def test_the_frames_are_those_of_a_plain_computation(waves, changes):
    settings = MagnitudeSettings(**changes)
    given = {key: value for key, value in changes.items() if not key.endswith("_s")}
    frames = settings.build()(waves)
    for ours, wave in zip(frames.numpy(), waves.numpy(), strict=True):
        expected = frame_by_frame(wave, window=settings.window, hop=settings.hop, **given)
        assert ours.shape == expected.shape
        assert np.allclose(ours, expected, rtol=1e-4, atol=2e-4)


def test_a_published_clip_gives_300_frames_of_257_numbers(waves):
    settings = MagnitudeSettings()
    assert settings.build()(waves).shape == (len(waves), 300, 257)
    assert (settings.frames(SAMPLES), settings.features) == (300, 257)
    assert settings.frames(SAMPLES - 1) == 299


@pytest.mark.parametrize("samples", [401, 560, 561, 16_000])
def test_the_settings_compute_the_number_of_frames(samples):
    settings = MagnitudeSettings()
    assert settings.build()(torch.rand(1, samples)).shape[1] == settings.frames(samples)


def test_each_frequency_has_mean_0_and_deviation_1(waves):
    frames = MagnitudeSettings().build()(waves)
    assert torch.allclose(frames.mean(dim=1), torch.zeros(()), atol=1e-5)
    assert torch.allclose(frames.std(dim=1, correction=0), torch.ones(()), atol=1e-4)


@pytest.mark.parametrize("gain", [1e-3, 0.1, 3.0])
def test_loudness_and_an_offset_change_nothing(waves, gain):
    magnitude = MagnitudeSettings().build()
    assert torch.allclose(magnitude(gain * waves + 0.1 * gain), magnitude(waves), atol=2e-3)


@pytest.mark.parametrize("level", [0.0, 0.3, -1.0])
def test_silence_gives_zeros_and_a_finite_gradient(level):
    silence = torch.full((2, SAMPLES), level, requires_grad=True)
    frames = MagnitudeSettings().build()(silence)
    assert torch.allclose(frames, torch.zeros(()), atol=1e-3)
    frames.square().sum().backward()
    assert silence.grad is not None
    assert torch.isfinite(silence.grad).all()


def test_frequencies_of_rounding_errors_only_stay_near_0():
    # The period of the tone divides the hop: all frames are equal except for rounding errors.
    tone = 0.5 * torch.sin(2 * torch.pi * torch.arange(SAMPLES, dtype=torch.float64) / 16)
    tone = tone * (1 + 6e-8 * torch.randint(-1, 2, (SAMPLES,), generator=torch.Generator().manual_seed(0)))
    tone = tone.float()[None]
    assert MagnitudeSettings().build()(tone).abs().max() < 0.5
    assert MagnitudeSettings(floor=0).build()(tone).abs().max() > 2


def test_a_clip_is_normalized_by_itself(waves):
    magnitude = MagnitudeSettings().build()
    together = magnitude(torch.cat([waves, torch.zeros(1, SAMPLES)]))
    assert torch.allclose(together[:1], magnitude(waves[:1]), atol=1e-5)


def test_a_wave_shorter_than_a_frame_is_refused():
    with pytest.raises(InputError, match="400 samples"):
        MagnitudeSettings().build()(torch.zeros(1, 400))
    with pytest.raises(ValidationError, match="length_s"):
        ResSettings(frontend=MagnitudeSettings(), length_s=0.024)


def test_the_kind_chooses_the_settings():
    assert TypeAdapter(FrontendSettings).validate_python({"kind": "magnitude", "hop_s": 0.02}).hop == 320


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_fft": 256}, "n_fft"),
        ({"hop_s": 1e-6}, "window_s, hop_s"),
        ({"pre_emphasis": 1.5}, "pre_emphasis"),
    ],
)
def test_settings_that_make_no_frames_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        MagnitudeSettings(**changes)
