"""Clip encoders, which map a waveform of fixed length to one embedding."""

from abc import ABC, abstractmethod
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.training.nn.channels_last import channels_last
from earmark.training.nn.frontends import FrontendSettings, MfccSettings
from earmark.training.nn.frontends.masks import Masks, MaskSettings


class ClipEncoderSettings(Settings, ABC):
    """Settings that all clip encoders share.

    A subclass sets ``kind``, adds the settings of its network, and defines `network`.
    """

    kind: str
    dimension: int = Field(128, ge=1, description="length of an embedding")
    length_s: float = Field(1.0, gt=0, description="length of a clip, in seconds")
    frontend: FrontendSettings = Field(MfccSettings(), description="spectral features")
    mask: MaskSettings = Field(MaskSettings(), description="masks over the features in training")

    @model_validator(mode="after")
    def _is_long_enough(self) -> Self:
        if self.samples <= self.frontend.points // 2 or not self.frontend.frames(self.samples):
            raise ValueError(f"length_s: {self.length_s} s are too short for a frame; choose longer clips")
        return self

    @property
    def samples(self) -> int:
        """Number of samples in a clip of length ``length_s``."""
        return round(self.length_s * SAMPLE_RATE)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of frames in a clip, and number of features in a frame."""
        return self.frontend.frames(self.samples), self.frontend.features

    @abstractmethod
    def network(self) -> nn.Module:
        """Build the network, which maps features (batch, t, f) to embeddings (batch, dimension)."""

    def build(self) -> "ClipEncoder":
        """Build the clip encoder: the frontend, the masks and the network of these settings."""
        return channels_last(ClipEncoder(self))


class ClipEncoder(nn.Module):
    """Clip encoder: a frontend, masks over its features in training mode, and a network."""

    def __init__(self, settings: ClipEncoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.frontend = settings.frontend.build()
        self.masks = Masks(settings.mask)
        self.network = settings.network()

    def forward(self, waves: Tensor) -> Tensor:
        """Compute the embeddings of clips.

        Args:
            waves: shape (batch, n), values in [-1, 1], n = ``settings.samples``.

        Returns:
            Shape (batch, dimension), not of unit length.
        """
        return self.network(self.masks(self.frontend(waves)))


def check_shape(features: Tensor, shape: tuple[int, int]) -> None:
    """Check that features have the shape for which a network is built that takes clips of one length only.

    Args:
        features: shape (batch, t, f).
        shape: the t and f of the network.

    Raises:
        InputError: t or f differs from the network's.
    """
    if features.shape[1:] != shape:
        (frames, bands), (network_frames, network_bands) = features.shape[1:], shape
        raise InputError(
            f"the clip has {frames} frames of {bands} features, but the network takes {network_frames} frames of"
            f" {network_bands}; crop clips to encoder.length_s"
        )
