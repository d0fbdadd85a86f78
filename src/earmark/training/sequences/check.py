"""Checks of the lists of a sequence recipe, before frames are computed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from earmark.core.errors import InputError, collected
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.spans import Span
from earmark.training.sequences import samplers
from earmark.training.sequences.lists import (
    label_numbers,
    read_labeled_list,
    read_pair_list,
    read_section_list,
    read_validation_list,
)
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.segment_frames import find_sections


def find_faults(recipe: SequenceRecipe) -> list[str]:
    """Find faults in the lists that a recipe names, such as missing recordings; return one line of text per fault."""
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
            listed = read_validation_list(data.validation, data.validation_audio or data.audio)
            _check_recordings((clip.path for clip in listed.clips), listed.folder)
    return faults


def _check_batches(recipe: SequenceRecipe, key: str, source: Path, sections: Sequence[Span] | None) -> None:
    """Check that training or held-out batches can be drawn from a list, and that its recordings exist.

    Args:
        recipe: the recipe.
        key: key of `data` that names the list.
        source: the list.
        sections: sections that must contain the segments of a training list; None: no check.

    Raises:
        InputError: the list is broken, or has too little for a batch; or a recording is missing.
    """
    audio, where = recipe.data.audio, f"data.{key}"
    match recipe.episodes:
        case samplers.SectionSettings() as settings:
            found, folder = read_section_list(source, audio)
            _check_recordings((section.path for section in found), folder)
            samplers.SectionSampler(found, settings, recipe.seed, where)
            return
        case samplers.PairSettings() as settings:
            pairs = read_pair_list(source, audio, longest_s=settings.longest_s, same_file=settings.same_file)
            listed = pairs.segments
            samplers.PairSampler(pairs.pairs, pairs.batch, settings, recipe.seed, where)
        case samplers.GoldSettings() as settings:
            listed = read_labeled_list(source, audio, where, longest_s=settings.longest_s)
            samplers.GoldSampler(label_numbers(listed.clips), settings, recipe.seed, where)
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
        raise InputError(
            f"{len(absent)} of {count} recordings are missing, such as {folder / absent[0]}; correct the paths"
        )
