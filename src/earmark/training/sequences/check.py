"""The faults in the lists of a recipe of sequences, found before any frame is computed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from earmark.core.errors import InputError, collected
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.spans import Span
from earmark.training.sequences.batches import check_labels, check_repeated
from earmark.training.sequences.draws import (
    GoldDraws,
    GoldSettings,
    PairDraws,
    PairSettings,
    SectionDraws,
    SectionSettings,
)
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.segments import (
    Listed,
    find_owners,
    read_listed,
    read_listed_pairs,
    read_listed_sections,
)


def find_faults(recipe: SequenceRecipe) -> list[str]:
    """What is wrong with the lists of a recipe and the recordings that they name, each in a line."""
    data = recipe.data
    faults: list[str] = []
    sections: Sequence[Span] | None = None
    if data.sections is not None and recipe.drawn_from != "sections":
        with collected(faults, "data.sections"):
            sections, folder = read_listed_sections(data.sections, data.audio)
            _check_recordings((section.path for section in sections), folder)
    for key in (recipe.drawn_from, "held_out"):
        if (source := getattr(data, key)) is not None:
            with collected(faults, f"data.{key}"):
                _check_draws(recipe, key, source, sections)
    if data.validation is not None:
        with collected(faults, "data.validation"):
            listed = read_listed(data.validation, data.validation_audio or data.audio)
            check_labels(listed, data.validation, "data.validation")
            check_repeated(listed, data.validation)
            _check_recordings((clip.path for clip in listed.clips), listed.folder)
    return faults


def _check_draws(recipe: SequenceRecipe, key: str, source: Path, sections: Sequence[Span] | None) -> None:
    audio, where = recipe.data.audio, f"data.{key}"
    match recipe.episodes:
        case SectionSettings() as settings:
            found, folder = read_listed_sections(source, audio)
            _check_recordings((section.path for section in found), folder)
            SectionDraws(found, settings, recipe.seed, where)
            return
        case PairSettings() as settings:
            pairs = read_listed_pairs(source, audio, longest_s=settings.longest_s, same_file=settings.same_file)
            listed = pairs.segments
            PairDraws(pairs.pairs, pairs.batch, settings, recipe.seed, where)
        case GoldSettings() as settings:
            listed = read_listed(source, audio, longest_s=settings.longest_s)
            check_labels(listed, source, where)
            codes = np.unique([clip.label for clip in listed.clips], return_inverse=True)[1]
            GoldDraws(codes.astype(np.int64), settings, recipe.seed, where)
    _check_recordings((clip.path for clip in listed.clips), listed.folder)
    if sections is not None and key != "held_out":
        _check_owners(listed, sections)


def _check_owners(listed: Listed, sections: Sequence[Span]) -> None:
    for _ in find_owners(listed.clips, sections):
        pass


def _check_recordings(paths: Iterable[str], folder: Path) -> None:
    recordings = AudioFolder(folder)
    absent, count = [], 0
    for path in dict.fromkeys(paths):
        count += 1
        try:
            recordings.locate(path)
        except InputError:
            absent.append(path)
    if absent:
        raise InputError(f"{len(absent)} of {count} recordings are missing, such as {folder / absent[0]}")
