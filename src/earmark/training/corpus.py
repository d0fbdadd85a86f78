"""The data of a recipe, made ready once: packed clips, noise, rooms, and scenes to draw from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio import read
from earmark.data.manifest import Manifest, read_manifest
from earmark.errors import InputError
from earmark.training.augment import Augmentation
from earmark.training.clips import ClipBank, pack
from earmark.training.encoders import EncoderSettings, build_encoder
from earmark.training.recipe import Recipe, Source
from earmark.training.scenes import SceneBatch, Scenes
from earmark.training.stored import StoredScenes, store_scenes


@dataclass(frozen=True)
class Corpus:
    """What a training run draws from.

    Attributes:
        bank: all clips; those of ``data.sounds`` have no label.
        live: scenes drawn as they are asked for.
        augmentation: what happens to them.
        stored: scenes that were drawn before, if the recipe keeps any.
        device: where training runs.
    """

    bank: ClipBank
    live: Scenes
    augmentation: Augmentation
    stored: StoredScenes | None
    device: torch.device

    @property
    def sounds(self) -> NDArray[np.int64]:
        """Numbers of the clips without a label, shape (n,)."""
        return np.flatnonzero(self.bank.label < 0)

    def draw(self, clips: Tensor, generator: torch.Generator) -> tuple[SceneBatch, Tensor | None]:
        """Augmented scenes of clips, and their teacher's frames where they are kept."""
        if self.stored is not None:
            scenes, frames = self.stored.draw(clips, generator)
            return SceneBatch(scenes.waves.to(self.device), scenes.spoken.to(self.device)), frames.to(self.device)
        scenes = self.live.draw(clips, generator)
        return SceneBatch(self.augmentation(scenes, generator), scenes.spoken), None


def prepare_corpus(recipe: Recipe, device: torch.device) -> Corpus:
    """Pack the recipe's clips and, when it asks for copies, draw and keep their scenes; what is there is used again."""
    data = recipe.data
    words = [selected(source) for source in data.words]
    sounds = [_without_labels(selected(source)) for source in data.sounds]
    bank = open_or_pack([*words, *sounds], data.folder / "clips")
    noise = [torch.from_numpy(wave) for wave in _waves(data.noise)]
    rooms = [torch.from_numpy(wave) for wave in _waves(data.rooms)]
    augmentation = Augmentation(recipe.augment, noise, rooms, device)
    live = Scenes(bank, recipe.scenes, device)
    stored = None
    if data.copies:
        teacher = build_encoder(EncoderSettings(frames="published")).to(device).eval()
        settings = [part.model_dump_json() for part in (recipe.scenes, recipe.augment, *data.noise, *data.rooms)]
        drawn_by = _digest([*settings, str(recipe.seed), _stamp(data.folder / "clips")])
        folder = data.folder / f"scenes-{drawn_by}"
        stored = store_scenes(live, augmentation, teacher, folder, copies=data.copies, seed=recipe.seed)
    return Corpus(bank, live, augmentation, stored, device)


def open_or_pack(manifests: Sequence[Manifest], folder: Path) -> ClipBank:
    """The bank of these clips: opened when the folder holds just them, else packed."""
    stamp = _digest([repr((manifest.folder.resolve(), manifest.clips)) for manifest in manifests])
    if folder.exists() and _stamp(folder) == stamp:
        return ClipBank.open(folder)
    bank = pack(manifests, folder)
    (folder / "stamp.json").write_text(json.dumps(stamp), encoding="utf-8")
    return bank


def validation_bank(recipe: Recipe) -> ClipBank | None:
    """The bank of the recipe's validation clips, if it names any."""
    if not recipe.data.validation:
        return None
    return open_or_pack([selected(source) for source in recipe.data.validation], recipe.data.folder / "validation")


def selected(source: Source) -> Manifest:
    """The clips of a source, their labels with its prefix.

    Raises:
        InputError: none are left.
    """
    manifest = read_manifest(source.manifest)
    clips = tuple(
        replace(clip, label=source.prefix + clip.label)
        for clip in manifest
        if clip.label not in source.exclude and source.split in ("", clip.split)
    )
    if not clips:
        raise InputError(f"{source.manifest}: no clips of the split {source.split!r} are left")
    return replace(manifest, clips=clips)


def _without_labels(manifest: Manifest) -> Manifest:
    return replace(manifest, clips=tuple(replace(clip, label="") for clip in manifest))


def _waves(sources: Sequence[Source]) -> list[NDArray[np.float32]]:
    return [read(manifest.locate(clip)) for manifest in map(selected, sources) for clip in manifest]


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def _stamp(folder: Path) -> str:
    path = folder / "stamp.json"
    return str(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else ""
