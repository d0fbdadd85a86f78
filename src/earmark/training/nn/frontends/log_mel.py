"""Log-mel frames of a clip."""

import math
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from earmark.core.audio import SAMPLE_RATE
from earmark.training.nn.frontends.spectrogram import Spectrogram


class MelSettings(BaseModel):
    """How mel bands are made of a wave at 16 kHz."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_s: float = Field(0.025, gt=0, description="length of a frame, in seconds; its weights are Hann's")
    hop_s: float = Field(0.01, gt=0, description="time from frame to frame, in seconds")
    n_fft: int = Field(0, ge=0, description="points of the Fourier transform; 0: as many as a frame has samples")
    padding: Literal["reflect", "zeros"] = Field(
        "reflect",
        description="how a clip goes on before its first frame's middle and after its last: mirrored, or silent",
    )
    full_scale: float = Field(
        1.0, gt=0, description="what the loudest sample counts as: 1, or 32768 as in numbers of 16 bits"
    )
    n_mels: int = Field(40, ge=1, description="mel bands")
    low_hz: float = Field(0.0, ge=0, description="where the lowest band begins, in Hz")
    high_hz: float = Field(SAMPLE_RATE / 2, le=SAMPLE_RATE / 2, description="where the highest band ends, in Hz")
    scale: Literal["htk", "slaney"] = Field(
        "htk", description="htk: its formula, bands of height 1; slaney: Auditory Toolbox's, bands of area 1"
    )
    compression: Literal["log", "db"] = Field("log", description="log: natural logarithm; db: decibels")
    floor: float = Field(1e-6, gt=0, description="lesser power counts as this")
    range_db: float = Field(0.0, ge=0, description="dB below a clip's loudest band at which bands are cut; 0: nowhere")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window < 2 or self.hop < 1:
            raise ValueError(f"window_s, hop_s: {self.window_s} and {self.hop_s} s are less than a sample or two")
        if 0 < self.n_fft < self.window:
            raise ValueError(f"n_fft: {self.n_fft} points are fewer than a frame's {self.window} samples")
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz: {self.low_hz} is not below high_hz, {self.high_hz}")
        if not mel_triangles(self).any(axis=0).all():
            raise ValueError(
                f"n_mels: some of {self.n_mels} bands lie between two of the {self.points // 2 + 1} lines of the "
                "spectrum; choose fewer bands or a larger n_fft"
            )
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
        return self.n_fft or self.window

    @property
    def features(self) -> int:
        """Numbers in a frame."""
        return self.n_mels

    def frames(self, samples: int) -> int:
        """Frames that a wave of so many samples gives."""
        return 1 + (samples - self.points % 2) // self.hop


class LogMelSettings(MelSettings):
    """Settings of log-mel frames."""

    kind: Literal["log_mel"] = Field("log_mel", description="which frontend")


class ClipLogMel(nn.Module):
    """Logarithms of the power in mel bands, in frames whose middles stand ``hop_s`` apart from the first sample on.

    `earmark.training.nn.frontends.streaming` has the frames of a stream, which see nothing of what is to come.
    """

    filters: Tensor

    def __init__(self, settings: MelSettings) -> None:
        super().__init__()
        self.settings = settings
        # In 64-bit numbers first: 32-bit cosines are off by enough to show beside a loud tone.
        window = torch.hann_window(settings.window, dtype=torch.float64).float()
        self.spectrogram = Spectrogram(window, settings.hop, settings.points, padding=settings.padding)
        filters = torch.tensor(mel_triangles(settings), dtype=torch.float32)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Frames of clips.

        Args:
            waves: shape (batch, n), values in [-1, 1].

        Returns:
            Shape (batch, t, n_mels), t = n // hop + 1, in 32-bit numbers even under autocast.
        """
        settings = self.settings
        power = self.spectrogram(waves) * settings.full_scale**2
        with torch.autocast(waves.device.type, enabled=False):
            levels = 10 * (power @ self.filters).clamp(min=settings.floor).log10()
            if settings.range_db:
                # Of each clip by itself: what else is in the batch changes nothing.
                levels = levels.maximum(levels.amax(dim=(1, 2), keepdim=True) - settings.range_db)
            return levels if settings.compression == "db" else levels * (math.log(10) / 10)


def mel_triangles(settings: MelSettings) -> NDArray[np.float64]:
    """Weights of the spectrum's lines in mel bands: triangles over Hz, whose corners are evenly spaced in mel.

    Returns:
        Shape (points // 2 + 1, n_mels).
    """
    corners_mel = np.linspace(
        _mel(settings.low_hz, settings.scale), _mel(settings.high_hz, settings.scale), settings.n_mels + 2
    )
    corners = _hz(corners_mel, settings.scale)
    left, center, right = corners[:-2], corners[1:-1], corners[2:]
    lines = np.fft.rfftfreq(settings.points, 1 / SAMPLE_RATE)[:, None]
    triangles = np.maximum(0, np.minimum((lines - left) / (center - left), (right - lines) / (right - center)))
    return triangles if settings.scale == "htk" else triangles * 2 / (right - left)


# Slaney's scale (Auditory Toolbox, 1998) is linear up to 1 kHz, which is 15 mel, and rises 6.4-fold every 27 mel above.
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
