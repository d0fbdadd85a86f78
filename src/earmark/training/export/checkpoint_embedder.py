"""A checkpoint as what evaluations ask for: something that embeds recordings, and perhaps tells classes apart."""

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
from earmark.core.config import checked
from earmark.core.errors import InputError
from earmark.evaluation.embedders import Embedder, EncoderEmbedder
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.crops import CropSettings, center_crop, random_crops
from earmark.training.batches.scenes import SceneSettings
from earmark.training.export.encoder import export
from earmark.training.nn.encoders import ClipEncoder, DenseSettings, StreamSettings
from earmark.training.recipe import check_any_recipe
from earmark.training.run.checkpoint import Checkpoint, fill, load_checkpoint, under
from earmark.training.sequences.embedder import SequenceEmbedder
from earmark.training.sequences.frames import build_source
from earmark.training.sequences.networks import build_network
from earmark.training.sequences.recipe import SequenceRecipe

Floats = NDArray[np.float32]

_BATCH = 256


@dataclass(frozen=True)
class ClipEmbedder:
    """An encoder of clips of one length, with the classes that it was trained on.

    Attributes:
        name: of the recipe.
        fingerprint: hash of the checkpoint.
        classes: what its loss tells apart; empty where it has no weight for each.
        crops: random crops of a recording whose embeddings are averaged; 0: its middle alone.
        seed: of the crops.
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
        """Embeddings of waves of any length; shape (m, d), not of unit length.

        Several crops of a wave count alike. What follows a network's pooling is linear, so that the mean of their
        embeddings is the embedding of their pooled maps' mean, as Hajibabaei and Dai (2018) have it.
        """
        rows = [self.model(torch.from_numpy(clips.reshape(-1, clips.shape[-1]))) for clips in self._heard(waves)]
        if not rows:
            return np.empty((0, self.model.settings.dimension), np.float32)
        return torch.cat(rows).unflatten(0, (len(waves), -1)).mean(dim=1).numpy()

    def _heard(self, waves: Sequence[Wave]) -> Iterator[Floats]:
        """What is heard of a few waves at a time, shape (some, crops, n)."""
        some = max(1, _BATCH // max(1, self.crops))
        for first in range(0, len(waves), some):
            yield np.stack([self._hear(wave) for wave in waves[first : first + some]])

    def _hear(self, wave: Wave) -> Floats:
        if not self.crops:
            return center_crop(wave, self.crop_settings)[None]
        return random_crops(wave, self.crop_settings, self.crops, seed=self.seed)

    @torch.inference_mode()
    def classify(self, embeddings: Floats) -> Floats | None:
        """Logits of the classes, without margin; shape (m, classes). None where the loss has no classes."""
        return None if self.logits is None else self.logits(torch.from_numpy(embeddings)).numpy()


def load_embedder(path: Path, *, crops: int = 0, seed: int = 0) -> Embedder:
    """What a checkpoint has learned, on the CPU; an encoder of streams runs as its export would.

    Args:
        path: the checkpoint.
        crops: random crops of a recording to average, as its training crops; 0: an encoder of clips hears the middle.
        seed: of the crops.

    Raises:
        InputError: no checkpoint of ours, or crops for an encoder of streams.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.recipe.get("kind") == "spatial":
        return _learned_without_labels(path, checkpoint, crops, seed)
    recipe = check_any_recipe(checkpoint.recipe, str(path))
    if isinstance(recipe.encoder, StreamSettings):
        if crops:
            raise InputError(f"{path}: an encoder of streams hears a recording whole; leave out the crops")
        with TemporaryDirectory() as folder:
            return EncoderEmbedder(export(path, Path(folder) / "encoder.onnx"))
    if isinstance(recipe, SequenceRecipe):
        return _of_sequences(path, checkpoint, recipe, crops)
    assert not isinstance(recipe.scenes, SceneSettings)
    model = recipe.encoder.build()
    fill(model, under(checkpoint.tensors, "model."))
    classes = checkpoint.classes if recipe.loss.has_classes else ()
    objective = recipe.loss.build(classes=len(checkpoint.classes), dimension=recipe.encoder.dimension)
    fill(objective, under(checkpoint.tensors, "loss."))
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    logits = getattr(objective.eval(), "logits", None)
    return ClipEmbedder(recipe.name, fingerprint, classes, model.eval(), logits, recipe.scenes, crops, seed)


def _of_sequences(path: Path, checkpoint: Checkpoint, recipe: SequenceRecipe, crops: int) -> SequenceEmbedder:
    if crops:
        raise InputError(f"{path}: an encoder of segments hears all of them; leave out the crops")
    source = build_source(recipe.frames)
    network = build_network(recipe.encoder, source.width)
    fill(network, under(checkpoint.tensors, "model."))
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    return SequenceEmbedder(recipe.name, fingerprint, network.eval(), source, recipe.context)


def _learned_without_labels(path: Path, checkpoint: Checkpoint, crops: int, seed: int) -> ClipEmbedder:
    """The encoder of an auto-encoder, see `earmark.training.spatial`."""
    settings = checked(DenseSettings, checkpoint.recipe["autoencoder"]["encoder"], str(path))
    model = settings.build()
    fill(model, under(checkpoint.tensors, "model."))
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    crop_settings = CenterCropSettings(length_s=settings.length_s)
    return ClipEmbedder(checkpoint.recipe["name"], fingerprint, (), model.eval(), None, crop_settings, crops, seed)
