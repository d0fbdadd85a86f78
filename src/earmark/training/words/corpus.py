"""Corpus of a word recipe: packed clips, their classes, and recordings for augmentation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.core.audio import read
from earmark.core.errors import InputError
from earmark.core.files import read_json
from earmark.core.progress import Progress, no_progress
from earmark.data.manifest import Clip, Manifest, read_manifest
from earmark.training.batches.augment import AugmentationAudio
from earmark.training.batches.center_crop import SILENCE
from earmark.training.batches.clip_bank import ClipBank, pack
from earmark.training.batches.episodes import Episodes, EpisodeSettings
from earmark.training.nn.encoders import StreamSettings
from earmark.training.words.recipe import DataSettings, Recipe, Source

SILENCE_LABEL = "_silence_"
UNKNOWN_LABEL = "_unknown_"
_SILENT_CLIPS = 1000


@dataclass(frozen=True)
class Corpus:
    """The training clips of a recipe, sorted into classes.

    Attributes:
        bank: all clips; clips of ``data.sounds`` have no label.
        classes: names of the classes, in the order of their numbers.
        clips: clip numbers of each class; ``SILENCE`` is a clip of silence.
        background: numbers of the clips without a class, shape (n,).
    """

    bank: ClipBank
    classes: tuple[str, ...]
    clips: dict[int, NDArray[np.int64]]
    background: NDArray[np.int64]

    def episodes(self, settings: EpisodeSettings, seed: int) -> Episodes:
        """Make the sampler that draws episodes, the batches of a training, from these clips."""
        return Episodes(self.clips, self.background, self.bank.speaker, settings, seed)


def prepare_corpus(recipe: Recipe, *, progress: Progress = no_progress) -> Corpus:
    """Decode the training clips of a recipe into a bank, unless this was done before, and sort them into classes."""
    data = recipe.data
    words = [selected(source, data.classes) for source in data.words]
    sounds = [without_labels(selected(source)) for source in data.sounds]
    bank = _bank(recipe, [*words, *sounds], "clips", progress)
    return sorted_into_classes(bank, data)


def sorted_into_classes(bank: ClipBank, data: DataSettings) -> Corpus:
    """Give each clip of the bank a class number, or mark it as background.

    The classes are `data.targets` (all labels of `data.words` by default), one of all other words if `data.others` is
    "class", and one of silence if `data.silence`. Clips without label, and other words if `data.others` is
    "background", are background: they are never the target of the loss.

    Raises:
        InputError: a target has no clip, or a label is reserved for the added classes.
    """
    for label in {SILENCE_LABEL, UNKNOWN_LABEL} & {*bank.labels}:
        raise InputError(
            f"data.words: the label {label} is reserved for the class of data.silence or data.others; exclude it"
        )
    if absent := [target for target in data.targets if target not in bank.labels]:
        raise InputError(f"data.targets: data.words has no clip of {', '.join(map(repr, absent))}; correct the targets")
    targets = data.targets or bank.labels
    classes = [*sorted(targets)]
    is_target = np.isin(np.array([*bank.labels, ""]), classes)[
        bank.label
    ]  # label -1 is the last entry, which is no target
    is_other = ~is_target & (bank.label >= 0)
    of_class = {name: np.flatnonzero(bank.label == bank.labels.index(name)) for name in classes}
    if is_other.any() and data.others == "class":
        classes.append(UNKNOWN_LABEL)
        of_class[UNKNOWN_LABEL] = np.flatnonzero(is_other)
    if data.silence:
        classes.append(SILENCE_LABEL)
        of_class[SILENCE_LABEL] = np.full(_SILENT_CLIPS, SILENCE)
    is_background = bank.label < 0
    if data.others == "background":
        is_background |= is_other
    clips = {number: of_class[name].astype(np.int64) for number, name in enumerate(classes)}
    return Corpus(bank, tuple(classes), clips, np.flatnonzero(is_background))


def validation_bank(recipe: Recipe, *, progress: Progress = no_progress) -> ClipBank | None:
    """Decode the validation clips of a recipe into a bank, or open it if it exists; None without `data.validation`.

    Raises:
        InputError: a validation label is a training label, and ``known_validation`` is false.
    """
    data = recipe.data
    if not data.validation:
        return None
    manifests = [selected(source, data.classes) for source in data.validation]
    learned = {clip.label for source in data.words for clip in selected(source, data.classes)}
    check_labels(learned, {clip.label for manifest in manifests for clip in manifest}, data)
    return _bank(recipe, manifests, "validation", progress)


def check_labels(learned: set[str], validation: set[str], data: DataSettings) -> None:
    """Check that no validation label is a training label.

    Raises:
        InputError: a label is in both, and ``known_validation`` is false.
    """
    if (both := sorted(learned & validation)) and not data.known_validation:
        more = f" and {len(both) - 1} more" * (len(both) > 1)
        raise InputError(
            f"data.validation: {both[0]!r}{more} are labels of data.words, too; exclude them from either, "
            "or set data.known_validation = true"
        )


def augmentation_audio(data: DataSettings) -> AugmentationAudio:
    """Read the noise, music, speech and room impulse responses that a recipe names for augmentation."""
    return AugmentationAudio(_waves(data.noise), _waves(data.music), _waves(data.speech), _waves(data.rooms))


def open_or_pack(
    manifests: Sequence[Manifest], folder: Path, *, spoken: bool = True, progress: Progress = no_progress
) -> ClipBank:
    """Open the clip bank in a folder if it has the clips of these manifests; otherwise decode them into a new bank.

    Arguments are those of :func:`pack`.
    """
    if is_packed(manifests, folder):
        return ClipBank.open(folder)
    return pack(manifests, folder, spoken=spoken, stamp=_stamp(manifests), progress=progress)


def is_packed(manifests: Sequence[Manifest], folder: Path) -> bool:
    """Whether a folder contains a clip bank with exactly the clips of these manifests."""
    return stamp_of(folder) == _stamp(manifests)


def _stamp(manifests: Sequence[Manifest]) -> str:
    return digest([repr((manifest.folder.resolve(), manifest.clips)) for manifest in manifests])


def selected(source: Source, classes: Literal["label", "speaker"] = "label") -> Manifest:
    """Select the clips of a source by its split and labels, and set each label to the prefix and the word or speaker.

    Raises:
        InputError: no clip is selected, or a speaker is missing.
    """
    manifest = read_manifest(source.manifest)
    clips = tuple(
        replace(clip, label=source.prefix + (clip.label if classes == "label" else _speaker(clip, source)))
        for clip in manifest
        if clip.label not in source.exclude
        and (not source.labels or clip.label in source.labels)
        and source.split in ("", clip.split)
    )
    if not clips:
        raise InputError(
            f"{source.manifest}: split {source.split!r}, labels and exclude select none of its clips; correct them"
        )
    return replace(manifest, clips=clips)


def _speaker(clip: Clip, source: Source) -> str:
    if not clip.speaker:
        raise InputError(
            f"{source.manifest}: {clip.path} has no speaker; add the speaker, or set data.classes = 'label'"
        )
    return clip.speaker


def digest(texts: Sequence[str]) -> str:
    """Hash texts to twelve hexadecimal digits, for names of folders and for stamps."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def stamp_of(folder: Path) -> str:
    """Read the stamp of a clip bank, which identifies its clips; empty if the folder has no stamp."""
    path = folder / "stamp.json"
    return str(read_json(path)) if path.exists() else ""


def _bank(
    recipe: Recipe, manifests: Sequence[Manifest], name: Literal["clips", "validation"], progress: Progress
) -> ClipBank:
    return open_or_pack(manifests, bank_folder(recipe, name), spoken=_is_spoken(recipe), progress=progress)


def bank_folder(recipe: Recipe, name: Literal["clips", "validation"]) -> Path:
    """Name the folder of the clip bank that has the training or the validation clips of a recipe."""
    kind = "" if recipe.data.classes == "label" else "-speakers"
    return recipe.data.folder / f"{name}{kind}{'' if _is_spoken(recipe) else '-whole'}"


def _is_spoken(recipe: Recipe) -> bool:
    # Scenes need the spoken part of a clip; crops take whole clips, as published.
    return isinstance(recipe.encoder, StreamSettings)


def without_labels(manifest: Manifest) -> Manifest:
    """Copy a manifest without the labels of its clips."""
    return replace(manifest, clips=tuple(replace(clip, label="") for clip in manifest))


def _waves(sources: Sequence[Source]) -> list[Tensor]:
    return [torch.from_numpy(read(manifest.locate(clip))) for manifest in map(selected, sources) for clip in manifest]
