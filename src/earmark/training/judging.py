"""A checkpoint as what evaluations ask for: something that embeds recordings, and perhaps tells classes apart."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio import Wave
from earmark.evaluation.embedders import Embedder, Exported
from earmark.training.checkpoint import fill, load_checkpoint, under
from earmark.training.encoders import ClipEncoder, StreamSettings, build_encoder
from earmark.training.export import export
from earmark.training.losses import build_loss
from earmark.training.recipe import check_recipe

Floats = NDArray[np.float32]

_BATCH = 256


@dataclass(frozen=True)
class ClipEmbedder:
    """An encoder of clips of one length, with the classes that it was trained on.

    Attributes:
        name: of the recipe.
        fingerprint: hash of the checkpoint.
        classes: what its loss tells apart; empty where it has no weight for each.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    model: ClipEncoder = field(repr=False)
    logits: Callable[[Tensor], Tensor] | None = field(repr=False)

    @torch.inference_mode()
    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Embeddings of waves of any length, each centred in the encoder's clip; shape (m, d), not of unit length."""
        size = self.model.settings.samples
        rows = [
            self.model(torch.from_numpy(np.stack([centred(wave, size) for wave in waves[first : first + _BATCH]])))
            for first in range(0, len(waves), _BATCH)
        ]
        return torch.cat(rows).numpy() if rows else np.empty((0, self.model.settings.dimension), np.float32)

    @torch.inference_mode()
    def classify(self, embeddings: Floats) -> Floats | None:
        """Logits of the classes, without margin; shape (m, classes). None where the loss has no classes."""
        return None if self.logits is None else self.logits(torch.from_numpy(embeddings)).numpy()


def load_embedder(path: Path) -> Embedder:
    """What a checkpoint has learnt, on the CPU; an encoder of streams runs as its export would.

    Raises:
        InputError: no checkpoint of ours.
    """
    checkpoint = load_checkpoint(path)
    recipe = check_recipe(checkpoint.recipe, str(path))
    if isinstance(recipe.encoder, StreamSettings):
        with TemporaryDirectory() as folder:
            return Exported(export(path, Path(folder) / "encoder.onnx"))
    model = build_encoder(recipe.encoder)
    fill(model, under(checkpoint.tensors, "model."))
    classes = checkpoint.classes if recipe.loss.has_classes else ()
    objective = build_loss(recipe.loss, classes=len(checkpoint.classes), dimension=recipe.encoder.dimension)
    fill(objective, under(checkpoint.tensors, "loss."))
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    return ClipEmbedder(recipe.name, fingerprint, classes, model.eval(), getattr(objective.eval(), "logits", None))


def centred(wave: Wave, size: int) -> Wave:
    """A wave cut from its middle or, half on each side, filled with zeros to ``size`` samples.

    >>> centred(np.float32([1, 2, 3]), 5).tolist(), centred(np.float32([1, 2, 3]), 1).tolist()
    ([0.0, 1.0, 2.0, 3.0, 0.0], [2.0])
    """
    spare = size - len(wave)
    if spare < 0:
        return wave[-spare // 2 :][:size]
    return np.pad(wave, (spare // 2, spare - spare // 2))
