"""Log-mel frames of a clip: the logarithmic power in mel bands."""

import math
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.core.audio import SAMPLE_RATE
from earmark.training.nn.frontends.spectrogram import FrameSettings, Spectrogram

Compression = Annotated[Literal["log", "db"], Field(description="log: natural logarithm; db: decibels")]
BandFloor = Annotated[float, Field(gt=0, description="lower bound of the power in a band")]
BandRange = Annotated[
    float, Field(ge=0, description="lower bound of a band, in dB below the clip's loudest band; 0: none")
]


class MelSettings(FrameSettings):
    """Settings of the mel bands of a wave at 16 kHz, which log-mel frames and MFCC share."""

    n_fft: int = Field(0, ge=0, description="points of the Fourier transform; 0: the length of the window")
    padding: Literal["reflect", "zeros"] = Field(
        "reflect",
        description="padding at both ends of a clip: mirrored samples, or zeros",
    )
    full_scale: float = Field(1.0, gt=0, description="value of a full-scale sample: 1, or 32768 as in 16-bit samples")
    n_mels: int = Field(40, ge=1, description="number of mel bands")
    low_hz: float = Field(0.0, ge=0, description="lower edge of the lowest band, in Hz")
    high_hz: float = Field(SAMPLE_RATE / 2, le=SAMPLE_RATE / 2, description="upper edge of the highest band, in Hz")
    scale: Literal["htk", "slaney"] = Field(
        "htk", description="mel scale; htk: triangles of height 1; slaney (Auditory Toolbox): triangles of area 1"
    )
    compression: Compression = "log"
    floor: BandFloor = 1e-6
    range_db: BandRange = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if 0 < self.n_fft < self.window:
            raise ValueError(
                f"n_fft: {self.n_fft} points are fewer than the {self.window} samples of a window; choose more, or 0"
            )
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz: {self.low_hz} is not below high_hz, {self.high_hz}; choose a lower low_hz")
        if not mel_triangles(self).any(axis=0).all():
            raise ValueError(
                f"n_mels: some of {self.n_mels} bands contain none of the {self.points // 2 + 1} bins of the spectrum; "
                "choose fewer bands or a larger n_fft"
            )
        return self

    @property
    def points(self) -> int:
        """Number of points of the Fourier transform."""
        return self.n_fft or self.window

    @property
    def features(self) -> int:
        """Number of features in a frame: one per mel band."""
        return self.n_mels

    def frames(self, samples: int) -> int:
        """Compute the number of frames of a wave of ``samples`` samples."""
        return 1 + (samples - self.points % 2) // self.hop


class LogMelSettings(MelSettings):
    """Settings of the frontend that computes log-mel frames of clips."""

    kind: Literal["log_mel"] = Field("log_mel", description="which frontend")

    def build(self) -> "ClipLogMel":
        """Build the frontend, which maps waves (batch, n) to features (batch, t, n_mels)."""
        return ClipLogMel(self)


class ClipLogMel(nn.Module):
    """Logarithmic power of mel bands, in frames that are centered every ``hop_s`` from the first sample on.

    For the frames of a stream, see `earmark.training.nn.frontends.streaming`.
    """

    filters: Tensor

    def __init__(self, settings: MelSettings) -> None:
        super().__init__()
        self.settings = settings
        # Computed in float64: next to a loud tone, errors of a float32 window would be visible.
        window = torch.hann_window(settings.window, dtype=torch.float64).float()
        self.spectrogram = Spectrogram(window, settings.hop, settings.points, padding=settings.padding)
        filters = torch.tensor(mel_triangles(settings), dtype=torch.float32)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Compute the log-mel frames of waves.

        Args:
            waves: shape (batch, n), values in [-1, 1].

        Returns:
            Shape (batch, t, n_mels), t = n // hop + 1, float32 even under autocast.
        """
        settings = self.settings
        power = self.spectrogram(waves) * settings.full_scale**2
        with torch.autocast(waves.device.type, enabled=False):
            levels = 10 * (power @ self.filters).clamp(min=settings.floor).log10()
            if settings.range_db:
                # Relative to each clip's own maximum, so that a clip does not depend on its batch.
                levels = levels.maximum(levels.amax(dim=(1, 2), keepdim=True) - settings.range_db)
            return levels if settings.compression == "db" else levels * (math.log(10) / 10)


def mel_triangles(settings: MelSettings) -> NDArray[np.float64]:
    """Compute triangular mel filters: linear in Hz, with corners evenly spaced in mel.

    Returns:
        Shape (points // 2 + 1, n_mels).
    """
    corners_mel = np.linspace(
        _mel(settings.low_hz, settings.scale), _mel(settings.high_hz, settings.scale), settings.n_mels + 2
    )
    corners = _hz(corners_mel, settings.scale)
    left, center, right = corners[:-2], corners[1:-1], corners[2:]
    bins_hz = np.fft.rfftfreq(settings.points, 1 / SAMPLE_RATE)[:, None]
    triangles = np.maximum(0, np.minimum((bins_hz - left) / (center - left), (right - bins_hz) / (right - center)))
    return triangles if settings.scale == "htk" else triangles * 2 / (right - left)


# Slaney's scale (Auditory Toolbox, 1998) is linear up to 1 kHz = 15 mel, then logarithmic: 27 mel for a factor of 6.4.
_LINEAR_HZ, _LINEAR_MEL, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27


def _mel(frequency_hz: float, scale: Literal["htk", "slaney"]) -> float:
    if scale == "htk":
        return 2595 * math.log10(1 + frequency_hz / 700)
    if frequency_hz < _LINEAR_HZ:
        return frequency_hz * _LINEAR_MEL / _LINEAR_HZ
    return _LINEAR_MEL + math.log(frequency_hz / _LINEAR_HZ) / _LOG_STEP


def _hz(mel: NDArray[np.float64], scale: Literal["htk", "slaney"]) -> NDArray[np.float64]:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    linear = mel * _LINEAR_HZ / _LINEAR_MEL
    return np.where(mel < _LINEAR_MEL, linear, _LINEAR_HZ * np.exp((mel - _LINEAR_MEL) * _LOG_STEP))
