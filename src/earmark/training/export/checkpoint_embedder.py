"""Embedder that evaluations make from a checkpoint; it also classifies clips if the loss has classes."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.core.audio import Wave
from earmark.core.config import validate
from earmark.core.errors import InputError
from earmark.evaluation.embedders import Embedder, EncoderEmbedder
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.crops import CropSettings, center_crop, random_crops
from earmark.training.batches.scenes import SceneSettings
from earmark.training.export.encoder import export
from earmark.training.nn.encoders import ClipEncoder, DenseSettings, StreamSettings
from earmark.training.recipe import check_any_recipe
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, load_weights, strip_prefix
from earmark.training.sequences.embedder import SequenceEmbedder
from earmark.training.sequences.networks import build_network
from earmark.training.sequences.recipe import SequenceRecipe

Floats = NDArray[np.float32]

_BATCH = 256


@dataclass(frozen=True)
class ClipEmbedder:
    """Embeds crops of one length with an encoder, and classifies the embeddings if the training had classes.

    Attributes:
        name: name of the recipe.
        fingerprint: SHA-256 of the checkpoint.
        classes: classes of the loss; empty if the loss has no class weights.
        model: the encoder.
        logits: computes the logits of the classes from embeddings; None if the loss has no class weights.
        crop_settings: length and position of the crops.
        crops: number of random crops to average; 0: the center crop.
        seed: seed of the random crops.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    model: ClipEncoder = field(repr=False)
    logits: Callable[[Tensor], Tensor] | None = field(repr=False)
    crop_settings: CropSettings = field(repr=False)
    crops: int = 0
    seed: int = 0

    @torch.inference_mode()
    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Compute embeddings of waves of any length, shape (m, d), not of unit length.

        The embedding of a wave is the mean over its crops. Because the layers after a network's pooling are linear, it
        is also the embedding of the mean of the pooled maps, as in Hajibabaei and Dai (2018).
        """
        rows = [self.model(torch.from_numpy(clips.reshape(-1, clips.shape[-1]))) for clips in self._batches(waves)]
        if not rows:
            return np.empty((0, self.model.settings.dimension), np.float32)
        return torch.cat(rows).unflatten(0, (len(waves), -1)).mean(dim=1).numpy()

    def _batches(self, waves: Sequence[Wave]) -> Iterator[Floats]:
        """Crop the waves, and yield the crops in batches of a few waves, shape (waves, crops, n)."""
        size = max(1, _BATCH // max(1, self.crops))
        for first in range(0, len(waves), size):
            yield np.stack([self._crop(wave) for wave in waves[first : first + size]])

    def _crop(self, wave: Wave) -> Floats:
        if not self.crops:
            return center_crop(wave, self.crop_settings)[None]
        return random_crops(wave, self.crop_settings, self.crops, seed=self.seed)

    @torch.inference_mode()
    def classify(self, embeddings: Floats) -> Floats | None:
        """Compute the logits of embeddings for the training classes, without the margin of the loss.

        Returns:
            Shape (m, classes); None if the loss has no classes.
        """
        return None if self.logits is None else self.logits(torch.from_numpy(embeddings)).numpy()


def load_embedder(path: Path, *, crops: int = 0, seed: int = 0) -> Embedder:
    """Load the encoder of a checkpoint as an embedder on the CPU, for any kind of encoder.

    A stream encoder is first exported to ONNX.

    Args:
        path: the checkpoint.
        crops: number of random crops of a recording to average, drawn as in the training; 0: the center crop.
        seed: seed of the crops.

    Raises:
        InputError: the file is not a checkpoint of earmark; or `crops` is not 0 for an encoder of whole recordings.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.recipe.get("kind") == "spatial":
        return _autoencoder_embedder(path, checkpoint, crops, seed)
    recipe = check_any_recipe(checkpoint.recipe, str(path))
    if isinstance(recipe.encoder, StreamSettings):
        if crops:
            raise InputError(f"crops: the encoder of {path} embeds whole recordings, not crops; set crops to 0")
        with TemporaryDirectory() as folder:
            return EncoderEmbedder(export(path, Path(folder) / "encoder.onnx"))
    if isinstance(recipe, SequenceRecipe):
        return _sequence_embedder(path, checkpoint, recipe, crops)
    assert not isinstance(recipe.scenes, SceneSettings)
    model = recipe.encoder.build()
    load_weights(model, strip_prefix(checkpoint.tensors, "model."))
    classes = checkpoint.classes if recipe.loss.has_classes else ()
    objective = recipe.loss.build(classes=len(checkpoint.classes), dimension=recipe.encoder.dimension)
    load_weights(objective, strip_prefix(checkpoint.tensors, "loss."))
    logits = getattr(objective.eval(), "logits", None)
    return ClipEmbedder(recipe.name, _fingerprint(path), classes, model.eval(), logits, recipe.scenes, crops, seed)


def _sequence_embedder(path: Path, checkpoint: Checkpoint, recipe: SequenceRecipe, crops: int) -> SequenceEmbedder:
    if crops:
        raise InputError(f"crops: the encoder of {path} embeds whole segments, not crops; set crops to 0")
    source = recipe.frames.build_source()
    network = build_network(recipe.encoder, source.width)
    load_weights(network, strip_prefix(checkpoint.tensors, "model."))
    return SequenceEmbedder(recipe.name, _fingerprint(path), network.eval(), source, recipe.context)


def _autoencoder_embedder(path: Path, checkpoint: Checkpoint, crops: int, seed: int) -> ClipEmbedder:
    """Make the embedder from a checkpoint of an auto-encoder, which `earmark.training.spatial` saves."""
    settings = validate(DenseSettings, checkpoint.recipe["autoencoder"]["encoder"], str(path))
    model = settings.build()
    load_weights(model, strip_prefix(checkpoint.tensors, "model."))
    crop_settings = CenterCropSettings(length_s=settings.length_s)
    return ClipEmbedder(
        checkpoint.recipe["name"], _fingerprint(path), (), model.eval(), None, crop_settings, crops, seed
    )


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
