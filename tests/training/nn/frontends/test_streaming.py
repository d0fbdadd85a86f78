import math

import numpy as np
import pytest
import torch

from earmark.training.nn.frontends.streaming import LogMel, mel_filters
from earmark.training.nn.stream_state import StreamState


def mel(frequency_hz):
    return 2595 * math.log10(1 + frequency_hz / 700)


@pytest.fixture(scope="module")
def log_mel():
    return LogMel()


def test_the_filters_are_those_of_a_plain_computation():
    filters = mel_filters(8, 128, 100.0, 3000.0, 16_000)
    corners = [mel(100) + (mel(3000) - mel(100)) * step / 9 for step in range(10)]
    expected = np.zeros((65, 8))
    for number in range(8):
        left, center, right = corners[number : number + 3]
        for line in range(1, 65):
            at = mel(line * 16_000 / 128)
            if left < at <= center:
                expected[line, number] = (at - left) / (center - left)
            elif center < at < right:
                expected[line, number] = (right - at) / (right - center)
    assert np.allclose(filters, expected, atol=1e-4)


def test_the_filters_sum_to_1_between_the_outer_centers():
    filters = mel_filters(32, 512, 60.0, 3800.0, 16_000)
    peaks = filters.argmax(axis=0)
    assert (np.diff(peaks) >= 0).all()
    assert np.allclose(filters[peaks[0] + 1 : peaks[-1]].sum(axis=1), 1)
    assert not filters[0].any()


@pytest.mark.parametrize("frequency_hz", [300, 1000, 3000])
def test_a_tone_has_the_most_power_in_its_band(log_mel, frequency_hz):
    time_s = torch.arange(16_000) / 16_000
    frames = log_mel(torch.sin(2 * math.pi * frequency_hz * time_s)[None])[0]
    centers = np.linspace(mel(60), mel(3800), 34)[1:-1]
    assert abs(frames.mean(0).argmax().item() - np.abs(centers - mel(frequency_hz)).argmin()) <= 1


def test_the_frames_are_those_of_a_fourier_transform(log_mel):
    wave = torch.randn(2000, generator=torch.Generator().manual_seed(0)) * 0.1
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    filters = mel_filters(32, 512, 60.0, 3800.0, 16_000)
    pieces = [wave.numpy()[start : start + 400] * hann for start in range(0, 1601, 160)]
    expected = np.log(np.abs(np.fft.rfft(pieces, 512)) @ filters + 0.001)
    assert np.allclose(log_mel(wave[None])[0].numpy(), expected, atol=1e-3)


def test_a_wave_gives_a_frame_for_each_whole_window(log_mel):
    assert [log_mel(torch.zeros(1, n)).shape[1] for n in (400, 559, 560, 16_000)] == [1, 1, 2, 98]


def test_silence_is_the_floor(log_mel):
    assert torch.allclose(log_mel(torch.zeros(1, 800)), torch.tensor(math.log(0.001)), atol=0.05)


def test_silence_has_a_finite_gradient(log_mel):
    wave = torch.zeros(1, 800, requires_grad=True)
    log_mel(wave).sum().backward()
    assert wave.grad is not None
    assert torch.isfinite(wave.grad).all()


def test_a_stream_in_chunks_gives_the_frames_of_the_whole_wave(log_mel):
    wave = torch.randn(1, 160 * 50, generator=torch.Generator().manual_seed(1))
    whole = log_mel(torch.cat([torch.zeros(1, 240), wave], dim=1))
    state, pieces = StreamState(), []
    for piece in wave.split([160, 480, 160 * 20, 160, 160 * 25], dim=1):
        pieces.append(log_mel(piece, state))
        state = StreamState(state.after)
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-4)
