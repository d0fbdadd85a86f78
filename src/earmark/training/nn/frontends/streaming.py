"""Log-mel frames of a stream, the input of speech_embedding."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.training.nn.stream_state import StreamState, with_past


def htk_mel(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert frequencies in Hz to mel, as HTK and TensorFlow do.

    >>> htk_mel(np.array([0.0, 700.0])).round(2).tolist()
    [0.0, 781.17]
    """
    return 1127 * np.log1p(frequency_hz / 700)


def mel_filters(n_mels: int, n_fft: int, low_hz: float, high_hz: float, rate_hz: int) -> NDArray[np.float64]:
    """Compute triangular mel filters of height 1, linear in mel, as TensorFlow does.

    Returns:
        Shape (n_fft // 2 + 1, n_mels). The bin at 0 Hz is in no filter.
    """
    mel = htk_mel(np.arange(n_fft // 2 + 1)[:, None] * rate_hz / n_fft)
    low, high = htk_mel(np.array([low_hz, high_hz]))
    corners = np.linspace(low, high, n_mels + 2)
    left, center, right = corners[:-2], corners[1:-1], corners[2:]
    filters = np.maximum(0, np.minimum((mel - left) / (center - left), (right - mel) / (right - center)))
    filters[0] = 0
    return filters


class LogMel(nn.Module):
    """Log-mel frames of 25 ms every 10 ms: ln(mel-weighted magnitude + 0.001), the input of speech_embedding.

    The spectrum is computed by convolution with a windowed Fourier basis, in the exported ONNX model too.
    """

    rate_hz = 16_000
    window = 400
    hop = 160
    n_fft = 512
    n_mels = 32
    low_hz = 60.0
    high_hz = 3800.0
    floor = 0.001

    fourier: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filters(self.n_mels, self.n_fft, self.low_hz, self.high_hz, self.rate_hz)
        used = int(np.nonzero(filters.any(axis=1))[0].max()) + 1
        hann = np.hanning(self.window + 1)[:-1]
        angle = 2 * np.pi * np.arange(self.window) * np.arange(used)[:, None] / self.n_fft
        basis = np.concatenate([np.cos(angle) * hann, np.sin(angle) * hann])[:, None]
        self.register_buffer("fourier", torch.tensor(basis, dtype=torch.float32), persistent=False)
        self.register_buffer("filters", torch.tensor(filters[:used], dtype=torch.float32), persistent=False)

    def forward(self, wave: Tensor, state: StreamState | None = None) -> Tensor:
        """Compute the log-mel frames of waves, or of a chunk of a stream.

        Args:
            wave: shape (batch, n), values in [-1, 1].
            state: state of a stream; None for a whole wave.

        Returns:
            Shape (batch, t, 32), t = (n - 240) // 160 for a whole wave and n / 160 in a stream.
        """
        wave = with_past(wave, state, self.window - self.hop, axis=1)
        # In float32 even under autocast: bfloat16 is too coarse for the range of a spectrum.
        with torch.autocast(wave.device.type, enabled=False):
            spectrum = nn.functional.conv1d(wave[:, None], self.fourier, stride=self.hop)
            real, imaginary = spectrum.chunk(2, dim=1)
            # The constant keeps the gradient of the root finite in silence.
            magnitude = (real.square() + imaginary.square() + 1e-12).sqrt()
            return torch.log(magnitude.transpose(1, 2) @ self.filters + self.floor)
