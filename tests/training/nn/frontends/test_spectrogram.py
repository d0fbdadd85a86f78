import numpy as np
import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.nn.frontends.spectrogram import Spectrogram


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def plain(wave, window, hop, n_fft, *, centered):
    """Reference: a Fourier transform of each frame, with the window in its middle."""
    before = (n_fft - len(window)) // 2
    weights = np.pad(window, (before, n_fft - len(window) - before))
    if centered:
        wave = np.pad(wave, n_fft // 2, mode="reflect")
    starts = range(0, len(wave) - n_fft + 1, hop)
    return np.array([np.abs(np.fft.rfft(wave[start : start + n_fft] * weights)) ** 2 for start in starts])


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(("window", "hop", "n_fft"), [(480, 160, 480), (400, 160, 512), (301, 77, 333)])
def test_the_frames_are_those_of_a_fourier_transform(window, hop, n_fft, centered):
    weights, waves = torch.hamming_window(window), noise(2, 3000)
    frames = Spectrogram(weights, hop, n_fft, centered=centered)(waves).numpy()
    for ours, wave in zip(frames, waves.double().numpy(), strict=True):
        expected = plain(wave, weights.double().numpy(), hop, n_fft, centered=centered)
        assert ours.shape == expected.shape
        assert np.allclose(ours, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("samples", [241, 16_000, 16_001])
def test_a_centered_wave_gives_a_frame_for_each_hop_and_one_more(samples):
    assert Spectrogram(torch.hann_window(480), 160, 480)(noise(1, samples)).shape == (1, samples // 160 + 1, 241)


@pytest.mark.parametrize(("centered", "least"), [(True, 241), (False, 480)])
def test_a_wave_that_is_too_short_is_refused_with_the_length_it_needs(centered, least):
    spectrogram = Spectrogram(torch.hann_window(480), 160, 480, centered=centered)
    spectrogram(noise(1, least))
    with pytest.raises(InputError, match=f"{least - 1} samples.* {least}"):
        spectrogram(noise(1, least - 1))


def test_under_autocast_the_numbers_stay_those_of_32_bits():
    spectrogram, waves = Spectrogram(torch.hann_window(480), 160, 480), noise(2, 4000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames = spectrogram(waves)
    assert frames.dtype == torch.float32
    assert torch.equal(frames, spectrogram(waves))


def test_the_gradient_is_that_of_finite_differences_and_finite_in_silence():
    spectrogram = Spectrogram(torch.hann_window(64), 16, 64)
    wave = noise(1, 300).requires_grad_()
    weights = torch.rand(1, 19, 33, generator=torch.Generator().manual_seed(1))
    (spectrogram(wave) * weights).sum().backward()
    direction = noise(1, 300, seed=2)
    with torch.no_grad():
        ahead, behind = ((spectrogram(wave + step * direction) * weights).sum() for step in (1e-2, -1e-2))
    assert wave.grad is not None
    assert (wave.grad * direction).sum().item() == pytest.approx(((ahead - behind) / 2e-2).item(), rel=1e-3)
    silence = torch.zeros(1, 300, requires_grad=True)
    spectrogram(silence).sum().backward()
    assert silence.grad is not None
    assert not silence.grad.any()
