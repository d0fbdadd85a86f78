"""Power spectrograms, differentiable and on any device."""

from typing import Literal

import torch
from torch import Tensor, nn

from earmark.core.errors import InputError


class Spectrogram(nn.Module):
    """Short-time power spectra.

    Args:
        window: weights of a frame's samples, shape (samples,), for example ``torch.hann_window(480)``.
        hop: samples between frames.
        n_fft: points of the Fourier transform, no fewer than the window's; the window stands in their middle.
        centered: whether frame i has its middle at sample i · hop, the wave being continued at both ends; otherwise it
            begins there, and only whole frames are made.
        padding: how a centered wave is continued: mirrored, or by zeros.
    """

    window: Tensor

    def __init__(
        self,
        window: Tensor,
        hop: int,
        n_fft: int,
        *,
        centered: bool = True,
        padding: Literal["reflect", "zeros"] = "reflect",
    ) -> None:
        super().__init__()
        self.hop = hop
        self.n_fft = n_fft
        self.centered = centered
        self.padding: Literal["reflect", "constant"] = "constant" if padding == "zeros" else "reflect"
        self.register_buffer("window", window, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Power of each frequency in each frame, in 32-bit numbers even under autocast.

        Args:
            waves: shape (batch, n), values in [-1, 1].

        Returns:
            Shape (batch, t, n_fft // 2 + 1); t = n // hop + 1 when centered and n_fft is even.

        Raises:
            InputError: the waves are shorter than what is mirrored, or than one frame.
        """
        least = self.n_fft // 2 + 1 if self.centered else self.n_fft
        if waves.shape[-1] < least:
            raise InputError(f"a wave of {waves.shape[-1]} samples is too short for a frame; pad it to {least}")
        with torch.autocast(waves.device.type, enabled=False):
            spectrum = torch.stft(
                waves.float(),
                self.n_fft,
                self.hop,
                len(self.window),
                self.window,
                center=self.centered,
                pad_mode=self.padding,
                return_complex=True,
            )
            # Two squares: the modulus would be slower, and in silence it has no gradient.
            return (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
