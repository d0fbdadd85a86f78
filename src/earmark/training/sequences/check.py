"""Checks of the lists of a recipe of sequences, before any frame is computed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from earmark.core.errors import InputError, collected
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.spans import Span
from earmark.training.sequences.lists import (
    check_labels,
    check_repeated,
    read_pair_list,
    read_section_list,
    read_segment_list,
)
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.samplers import (
    GoldSampler,
    GoldSettings,
    PairSampler,
    PairSettings,
    SectionSampler,
    SectionSettings,
)
from earmark.training.sequences.segment_frames import find_sections


def find_faults(recipe: SequenceRecipe) -> list[str]:
    """Find what is wrong with the lists of a recipe and the recordings that they name; one line each."""
    data = recipe.data
    faults: list[str] = []
    sections: Sequence[Span] | None = None
    if data.sections is not None and recipe.drawn_from != "sections":
        with collected(faults, "data.sections"):
            sections, folder = read_section_list(data.sections, data.audio)
            _check_recordings((section.path for section in sections), folder)
    for key in (recipe.drawn_from, "held_out"):
        if (source := getattr(data, key)) is not None:
            with collected(faults, f"data.{key}"):
                _check_batches(recipe, key, source, sections)
    if data.validation is not None:
        with collected(faults, "data.validation"):
            listed = read_segment_list(data.validation, data.validation_audio or data.audio)
            check_labels(listed, data.validation, "data.validation")
            check_repeated(listed, data.validation)
            _check_recordings((clip.path for clip in listed.clips), listed.folder)
    return faults


def _check_batches(recipe: SequenceRecipe, key: str, source: Path, sections: Sequence[Span] | None) -> None:
    """Check that batches can be drawn from a list."""
    audio, where = recipe.data.audio, f"data.{key}"
    match recipe.episodes:
        case SectionSettings() as settings:
            found, folder = read_section_list(source, audio)
            _check_recordings((section.path for section in found), folder)
            SectionSampler(found, settings, recipe.seed, where)
            return
        case PairSettings() as settings:
            pairs = read_pair_list(source, audio, longest_s=settings.longest_s, same_file=settings.same_file)
            listed = pairs.segments
            PairSampler(pairs.pairs, pairs.batch, settings, recipe.seed, where)
        case GoldSettings() as settings:
            listed = read_segment_list(source, audio, longest_s=settings.longest_s)
            check_labels(listed, source, where)
            codes = np.unique([clip.label for clip in listed.clips], return_inverse=True)[1]
            GoldSampler(codes.astype(np.int64), settings, recipe.seed, where)
    _check_recordings((clip.path for clip in listed.clips), listed.folder)
    if sections is not None and key != "held_out":
        for _ in find_sections(listed.clips, sections):
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
