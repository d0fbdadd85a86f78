"""Magnitude spectra of a clip, each frequency normalized over time (Hajibabaei and Dai 2018, arXiv 1807.08312)."""

from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import InputError
from earmark.training.nn.frontends.spectrogram import Spectrogram

# Deviations below this belong to nothing that was recorded: one step of a 16-bit sample gives 1e-4.
_NOTHING = 1e-8


class MagnitudeSettings(BaseModel):
    """How magnitudes are made of a wave at 16 kHz; 48,241 samples give 300 frames of 257 numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["magnitude"] = Field("magnitude", description="which frontend")
    pre_emphasis: float = Field(
        0.97, ge=0, le=1, description="share of the sample before that is taken from each; the first sample has none"
    )
    window_s: float = Field(0.025, gt=0, description="length of a frame, in seconds; its weights are Hamming's")
    hop_s: float = Field(0.01, gt=0, description="time from frame to frame, in seconds")
    n_fft: int = Field(512, ge=2, description="points of the Fourier transform; frames are filled up with zeros")
    normalize: bool = Field(True, description="whether each frequency has mean 0 and deviation 1 over a clip's frames")
    floor: float = Field(
        1e-5, ge=0, description="lesser deviations count as this; in parts of the clip's root mean square magnitude"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window < 2 or self.hop < 1:
            raise ValueError(f"window_s, hop_s: {self.window_s} and {self.hop_s} s are less than a sample or two")
        if self.n_fft < self.window:
            raise ValueError(f"n_fft: {self.n_fft} points are fewer than a frame's {self.window} samples")
        return self

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(self.window_s * SAMPLE_RATE)

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return round(self.hop_s * SAMPLE_RATE)

    @property
    def points(self) -> int:
        """Points of the Fourier transform."""
        return self.n_fft

    @property
    def features(self) -> int:
        """Numbers in a frame."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Frames that a wave of so many samples gives: whole ones only, and the first sample is in none.

        >>> MagnitudeSettings().frames(48_241)
        300
        """
        return max(0, 1 + (samples - 1 - self.window) // self.hop)


class Magnitude(nn.Module):
    """Magnitudes, not their logarithms, of frames that begin ``hop_s`` apart.

    The mean of the wave is taken away, then from each sample its share of the one before. Each frequency is then
    normalized over the clip's frames. The published system divides by the deviation whatever it is, so that digital
    silence gives no number; here it is at least ``floor`` times the root mean square of all the clip's magnitudes.
    That is some 50 times the rounding of 32-bit numbers, which therefore never grows into features, and a hundredth of
    what rounding to 16 bits leaves beside speech, which comes out as published. A silent clip, or frequency, gives
    zeros.

    The Hamming window is the symmetric one (0.08 at both ends); the publication does not say which.
    """

    def __init__(self, settings: MagnitudeSettings) -> None:
        super().__init__()
        self.settings = settings
        window = torch.hamming_window(settings.window, periodic=False, dtype=torch.float64).float()
        # The zeros follow the samples, so that a frame begins where it should and not where the transform does.
        self.filling = settings.n_fft - settings.window
        window = functional.pad(window, (0, self.filling))
        self.spectrogram = Spectrogram(window, settings.hop, settings.n_fft, centered=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Frames of clips.

        Args:
            waves: shape (batch, n), values in [-1, 1].

        Returns:
            Shape (batch, t, n_fft // 2 + 1), t = 1 + (n - 1 - window) // hop, in 32-bit numbers even under autocast.

        Raises:
            InputError: the waves are shorter than one frame.
        """
        settings = self.settings
        if waves.shape[-1] <= settings.window:
            raise InputError(
                f"a wave of {waves.shape[-1]} samples is too short for a frame; pad it to {settings.window + 1}"
            )
        with torch.autocast(waves.device.type, enabled=False):
            waves = waves.float()
            waves = waves - waves.mean(dim=1, keepdim=True)
            waves = waves[:, 1:] - settings.pre_emphasis * waves[:, :-1]
            power = self.spectrogram(functional.pad(waves, (0, self.filling)))
            # Nought has no square root that could be differentiated.
            magnitudes = power.clamp(min=_NOTHING**2).sqrt()
            return self._normalized(magnitudes) if settings.normalize else magnitudes

    def _normalized(self, magnitudes: Tensor) -> Tensor:
        loudness = magnitudes.square().mean(dim=(1, 2), keepdim=True)
        least = (loudness * self.settings.floor**2).clamp(min=_NOTHING**2)
        centered = magnitudes - magnitudes.mean(dim=1, keepdim=True)
        return centered / centered.square().mean(dim=1, keepdim=True).maximum(least).sqrt()
