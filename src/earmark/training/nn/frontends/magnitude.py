"""Magnitude spectra of a clip, each bin normalized over time (Hajibabaei and Dai 2018, arXiv 1807.08312)."""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from earmark.core.errors import InputError
from earmark.training.nn.frontends.spectrogram import FrameSettings, Spectrogram

# Lower bound of magnitudes and deviations; one step of a 16-bit sample gives 1e-4.
_FLOOR = 1e-8


class MagnitudeSettings(FrameSettings):
    """Settings of magnitude spectra of a wave at 16 kHz; 48,241 samples give 300 frames of 257 bins."""

    kind: Literal["magnitude"] = Field("magnitude", description="which frontend")
    pre_emphasis: float = Field(
        0.97, ge=0, le=1, description="coefficient of the pre-emphasis; the first sample is dropped"
    )
    window_s: float = Field(0.025, gt=0, description="length of the Hamming window, in seconds")
    n_fft: int = Field(512, ge=2, description="points of the Fourier transform; frames are zero-padded")
    normalize: bool = Field(True, description="normalize each bin over the frames of a clip, to mean 0 and deviation 1")
    floor: float = Field(
        1e-5, ge=0, description="lower bound of the deviation, relative to the clip's root mean square magnitude"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.n_fft < self.window:
            raise ValueError(
                f"n_fft: {self.n_fft} points are fewer than the {self.window} samples of a window; choose more points"
            )
        return self

    @property
    def points(self) -> int:
        """Number of points of the Fourier transform."""
        return self.n_fft

    @property
    def features(self) -> int:
        """Number of features in a frame: one per bin of the spectrum."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Compute the number of whole frames of a wave of ``samples`` samples; its first sample is dropped.

        >>> MagnitudeSettings().frames(48_241)
        300
        """
        return max(0, 1 + (samples - 1 - self.window) // self.hop)

    def build(self) -> "Magnitude":
        """Build the frontend, which maps waves (batch, n) to features (batch, t, n_fft // 2 + 1)."""
        return Magnitude(self)


class Magnitude(nn.Module):
    """Computes the magnitude spectra of frames that begin every ``hop_s``.

    The mean of the wave is subtracted, pre-emphasis is applied, and each bin is normalized over the frames of the clip.
    The published system divides by the deviation without a bound, so that digital silence gives NaN. Here the deviation
    is at least ``floor`` times the root mean square of the clip's magnitudes. The default bound is about 50 times the
    rounding error of float32, so that this error is not amplified. In a clip of speech it is a hundredth of the
    rounding error of 16-bit samples, so that the features of speech are as published. A silent clip or bin gives zeros.

    The Hamming window is symmetric (0.08 at both ends); the publication does not specify it.
    """

    def __init__(self, settings: MagnitudeSettings) -> None:
        super().__init__()
        self.settings = settings
        window = torch.hamming_window(settings.window, periodic=False, dtype=torch.float64).float()
        # Zeros are appended, so that a frame begins with its first sample.
        self.padding = settings.n_fft - settings.window
        window = functional.pad(window, (0, self.padding))
        self.spectrogram = Spectrogram(window, settings.hop, settings.n_fft, centered=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Compute the magnitude spectra of the frames of waves.

        Args:
            waves: shape (batch, n), values in [-1, 1].

        Returns:
            Shape (batch, t, n_fft // 2 + 1), t = 1 + (n - 1 - window) // hop, float32 even under autocast.

        Raises:
            InputError: the waves are too short for a frame.
        """
        settings = self.settings
        if waves.shape[-1] <= settings.window:
            raise InputError(
                f"a wave of {waves.shape[-1]} samples is too short for a frame; pad it to {settings.window + 1} samples"
            )
        with torch.autocast(waves.device.type, enabled=False):
            waves = waves.float()
            waves = waves - waves.mean(dim=1, keepdim=True)
            waves = waves[:, 1:] - settings.pre_emphasis * waves[:, :-1]
            power = self.spectrogram(functional.pad(waves, (0, self.padding)))
            # The square root has no finite gradient at 0.
            magnitudes = power.clamp(min=_FLOOR**2).sqrt()
            return self._normalized(magnitudes) if settings.normalize else magnitudes

    def _normalized(self, magnitudes: Tensor) -> Tensor:
        power = magnitudes.square().mean(dim=(1, 2), keepdim=True)
        lower = (power * self.settings.floor**2).clamp(min=_FLOOR**2)
        centered = magnitudes - magnitudes.mean(dim=1, keepdim=True)
        return centered / centered.square().mean(dim=1, keepdim=True).maximum(lower).sqrt()
