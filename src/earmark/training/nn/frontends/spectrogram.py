"""Power spectrograms, differentiable and on any device."""

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.core.errors import InputError

WindowSeconds = Annotated[float, Field(gt=0, description="length of the Hann window, in seconds")]


class FrameSettings(Settings):
    """Settings that all frontends share: length of the frames of a wave at 16 kHz, and time between them."""

    window_s: WindowSeconds = 0.025
    hop_s: float = Field(0.01, gt=0, description="time between frames, in seconds")

    @model_validator(mode="after")
    def _have_samples(self) -> Self:
        if self.window < 2 or self.hop < 1:
            raise ValueError(
                f"window_s, hop_s: {self.window_s} s and {self.hop_s} s are below 2 samples and 1; choose longer times"
            )
        return self

    @property
    def window(self) -> int:
        """Number of samples in a window of length ``window_s``."""
        return round(self.window_s * SAMPLE_RATE)

    @property
    def hop(self) -> int:
        """Number of samples between frames."""
        return round(self.hop_s * SAMPLE_RATE)


class Spectrogram(nn.Module):
    """Computes the power spectra of short frames of a wave.

    Args:
        window: shape (samples,), for example ``torch.hann_window(480)``.
        hop: samples between frames.
        n_fft: points of the Fourier transform, at least the window's length; the window is centered in them.
        centered: center frame i at sample i · hop and pad the wave at both ends; otherwise frame i begins at sample
            i · hop, and incomplete frames are dropped.
        padding: padding of a centered wave: mirrored samples, or zeros.
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
        """Compute the power spectra of the frames of waves, in float32 even under autocast.

        Args:
            waves: shape (batch, n), values in [-1, 1].

        Returns:
            Shape (batch, t, n_fft // 2 + 1); t = n // hop + 1 when centered and n_fft is even.

        Raises:
            InputError: the waves are too short for the padding, or for a frame.
        """
        least = self.n_fft // 2 + 1 if self.centered else self.n_fft
        if waves.shape[-1] < least:
            raise InputError(f"a wave of {waves.shape[-1]} samples is too short for a frame; pad it to {least} samples")
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
            # The square of torch.abs would be slower, and torch.abs has no finite gradient in silence.
            return (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
