"""Embedder whose embeddings are MFCC, as a baseline for learned features."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from earmark.core.audio import Wave
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.crops import center_crop
from earmark.training.nn.encoders.dense import DenseSettings, flat

Floats = NDArray[np.float32]

_SETTINGS = DenseSettings()
_CROP = CenterCropSettings(length_s=_SETTINGS.length_s)
_BATCH = 256


@dataclass(frozen=True)
class PlainMfcc:
    """Computes the 640 MFCC that are the input of the auto-encoder; implements `Embedder`.

    Attributes:
        name: name in titles and file names.
    """

    name: str = "mfcc"
    _frontend: nn.Module = field(default_factory=lambda: _SETTINGS.frontend.build(), repr=False)

    @property
    def fingerprint(self) -> str:
        """Hash of the settings of the MFCC, which identifies embeddings that are equal."""
        return hashlib.sha256(_SETTINGS.model_dump_json().encode()).hexdigest()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of classes: none, because MFCC have no classifier."""
        return ()

    @torch.inference_mode()
    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Compute the MFCC of the center crops of waves, shape (m, 640)."""
        rows = [
            flat(self._frontend(torch.from_numpy(np.stack([center_crop(wave, _CROP) for wave in some]))))
            for some in (waves[first : first + _BATCH] for first in range(0, len(waves), _BATCH))
        ]
        return torch.cat(rows).numpy() if rows else np.empty((0, int(np.prod(_SETTINGS.shape))), np.float32)

    def classify(self, embeddings: Floats) -> Floats | None:
        """Return None, because MFCC have no classifier."""
        del embeddings
        return None
