"""Mel-frequency cepstral coefficients of a clip."""

import math
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.training.nn.frontends.log_mel import BandFloor, BandRange, ClipLogMel, Compression, MelSettings
from earmark.training.nn.frontends.spectrogram import WindowSeconds


class MfccSettings(MelSettings):
    """Settings of MFCC, the mel-frequency cepstral coefficients of a clip.

    The defaults are those of Jung et al. 2023 (arXiv 2211.00439): 101 frames of 40 coefficients for one second. Tang
    and Lin 2018 (arXiv 1710.10361) and Huh et al. 2021 (arXiv 2005.08776) set ``low_hz=20, high_hz=4000,
    scale="slaney", compression="log", range_db=0``.
    """

    kind: Literal["mfcc"] = Field("mfcc", description="which frontend")
    coefficients: int = Field(40, ge=1, description="number of coefficients, from the zeroth")
    window_s: WindowSeconds = 0.03
    compression: Compression = "db"
    floor: BandFloor = 1e-10
    range_db: BandRange = 80.0

    @model_validator(mode="after")
    def _has_enough_bands(self) -> Self:
        if self.coefficients > self.n_mels:
            raise ValueError(
                f"coefficients: {self.coefficients} are more than the {self.n_mels} mel bands of n_mels; choose fewer"
            )
        return self

    @property
    def features(self) -> int:
        """Number of features in a frame: the number of coefficients."""
        return self.coefficients

    def build(self) -> "Mfcc":
        """Build the frontend, which maps waves (batch, n) to features (batch, t, coefficients)."""
        return Mfcc(self)


class Mfcc(nn.Module):
    """Computes MFCC: the orthonormal DCT-II of log-mel frames."""

    cosines: Tensor

    def __init__(self, settings: MfccSettings) -> None:
        super().__init__()
        self.log_mel = ClipLogMel(settings)
        self.register_buffer("cosines", cosine_basis(settings.n_mels, settings.coefficients), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Compute the MFCC of waves.

        Args:
            waves: shape (batch, n), values in [-1, 1].

        Returns:
            Shape (batch, t, coefficients), t = n // hop + 1, float32 even under autocast.
        """
        levels = self.log_mel(waves)
        with torch.autocast(waves.device.type, enabled=False):
            return levels @ self.cosines


def cosine_basis(points: int, count: int) -> Tensor:
    """Compute the first ``count`` basis vectors of the orthonormal DCT-II as columns, shape (points, count).

    >>> basis = cosine_basis(8, 8)
    >>> torch.allclose(basis.T @ basis, torch.eye(8), atol=1e-6)
    True
    """
    position = (torch.arange(points, dtype=torch.float64)[:, None] + 0.5) / points
    basis = (math.pi * position * torch.arange(count)).cos() * math.sqrt(2 / points)
    basis[:, 0] /= math.sqrt(2)
    return basis.float()
