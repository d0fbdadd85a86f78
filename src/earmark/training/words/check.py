"""Checks of the data of a word recipe, before clips are decoded."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from earmark.core.errors import InputError, collected
from earmark.data.manifest import Manifest
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.run.distributed import launched
from earmark.training.words.corpus import (
    Corpus,
    bank_folder,
    check_labels,
    is_packed,
    selected,
    sorted_into_classes,
    without_labels,
)
from earmark.training.words.recipe import SOURCES, Recipe

Manifests = dict[str, list[Manifest]]


def find_faults(recipe: Recipe) -> tuple[list[str], tuple[str, ...]]:
    """Find faults in the manifests that a recipe names and in their recordings.

    Returns:
        The faults, one line each, and the names of the classes; empty if they are unknown.
    """
    faults: list[str] = []
    manifests: Manifests = {key: [*_selected(recipe, key, faults)] for key in SOURCES}
    _find_missing(recipe, manifests, faults)
    if recipe.data.validation:
        _find_in_validation(recipe, manifests, faults)
    if not _are_read(recipe, manifests, "words", "sounds"):
        return faults, ()
    corpus = None
    with collected(faults):
        clips = [*manifests["words"], *map(without_labels, manifests["sounds"])]
        corpus = sorted_into_classes(_undecoded(clips), recipe.data)
    if corpus is not None:
        with collected(faults):
            _check_episodes(recipe, corpus)
    return faults, corpus.classes if corpus is not None else ()


def missing_recordings(manifest: Manifest) -> str | None:
    """Count the recordings of a manifest that do not exist, and return a message; None if all exist."""
    named: dict[Path, set[str]] = defaultdict(set)
    for clip in manifest:
        path = manifest.locate(clip)
        named[path.parent].add(path.name)
    # Listing a folder once is faster than a call for each of a million files.
    absent = [folder / name for folder, names in named.items() for name in names - _names(folder)]
    if not absent:
        return None
    count = sum(map(len, named.values()))
    return f"{len(absent)} of {count} recordings are missing, such as {min(absent)}; correct the paths"


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _selected(recipe: Recipe, key: str, faults: list[str]) -> Iterator[Manifest]:
    classes = recipe.data.classes if key in {"words", "validation"} else "label"
    for source in getattr(recipe.data, key):
        with collected(faults, f"data.{key}"):
            yield selected(source, classes)


def _are_read(recipe: Recipe, manifests: Manifests, *keys: str) -> bool:
    return all(len(manifests[key]) == len(getattr(recipe.data, key)) for key in keys)


def _find_missing(recipe: Recipe, manifests: Manifests, faults: list[str]) -> None:
    # Clips that are already packed need no recordings.
    packed = set()
    if is_packed([*manifests["words"], *map(without_labels, manifests["sounds"])], bank_folder(recipe, "clips")):
        packed |= {"words", "sounds"}
    if is_packed(manifests["validation"], bank_folder(recipe, "validation")):
        packed.add("validation")
    for key in SOURCES:
        if key not in packed:
            for manifest in manifests[key]:
                if missing := missing_recordings(manifest):
                    faults.append(f"data.{key}: {missing}")


def _undecoded(manifests: Sequence[Manifest]) -> ClipBank:
    """Make a clip bank that has the labels of clips but no audio, so that checks need not decode it."""
    names = [clip.label for manifest in manifests for clip in manifest]
    labels = sorted({*names} - {""})
    number = {name: row for row, name in enumerate(labels)}
    empty = np.zeros(len(names), np.int64)
    label = np.array([number.get(name, -1) for name in names], np.int64)
    spans = np.zeros((len(names), 2), np.int64)
    return ClipBank(np.zeros(0, np.int16), empty, empty, spans, empty, label, empty, tuple(labels), ())


def _check_episodes(recipe: Recipe, corpus: Corpus) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run warns
        episodes = corpus.episodes(recipe.episodes, recipe.seed)
    sounds = recipe.distillation.sounds
    if sounds and not len(corpus.background):
        raise InputError("distillation.sounds: data.sounds has no clip for the distillation; name a source with clips")
    shape = recipe.episodes
    launched().share(episodes.words * shape.utterances + shape.background)
    launched().share(max(0, sounds - shape.background))


def _find_in_validation(recipe: Recipe, manifests: Manifests, faults: list[str]) -> None:
    learned = {clip.label for manifest in manifests["words"] for clip in manifest}
    bank = _undecoded(manifests["validation"])
    with collected(faults):
        check_labels(learned, {*bank.labels}, recipe.data)
    enough = int((np.bincount(bank.label[bank.label >= 0]) > 1).sum())
    if enough < 2 and _are_read(recipe, manifests, "validation"):
        faults.append(
            f"data.validation: {enough} labels have two clips or more, but two such labels are needed; add clips"
        )
