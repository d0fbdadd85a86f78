"""VoxCeleb1 in its own layout, `id10001/VIDEO/00001.wav`, with its list `iden_split.txt`.

A. Nagrani, J. S. Chung and A. Zisserman, “VoxCeleb: a large-scale speaker identification dataset”, Interspeech 2017.
"""

import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Literal

from earmark.core.errors import InputError
from earmark.data.lists.split_lists import read_split_list, recording_finder, speaker_folder
from earmark.data.manifest import Clip, Manifest

Mode = Literal["identification", "verification"]

# Those speakers whose names begin with E, under their numbers.
_TEST_NUMBERS = range(10270, 10310)


def is_test_speaker(speaker: str) -> bool:
    """Whether a speaker is one of the 40 of the verification test, whose names begin with E.

    >>> is_test_speaker("Eartha_Kitt"), is_test_speaker("id10270"), is_test_speaker("id10310")
    (True, True, False)
    """
    number = re.fullmatch(r"id(\d{5})", speaker)
    return int(number[1]) in _TEST_NUMBERS if number else speaker.startswith("E")


def read_voxceleb(
    folder: str | Path, split_list: Path, *, mode: Mode = "identification", skip_missing: bool = False
) -> tuple[Manifest, tuple[str, ...]]:
    """Make a manifest of VoxCeleb1: speaker, and a split that the list and the mode say.

    Who speaks is read off the folder. The published scripts count another speaker wherever the first column is less
    than in the line before, which merges two speakers where one has no test line, or where lines are sorted.

    Args:
        folder: of the corpus; the folders of speakers may lie in `wav`, or in `dev/wav` and `test/wav`.
        split_list: `iden_split.txt`; names of speakers may be numbers (id10001) or, as they once were, names.
        mode: identification: train, val and test as listed. Verification: test are all utterances of the 40 speakers
            whose names begin with E, of the others the listed val is val, and all else is train.
        skip_missing: leave out recordings that are on the list but not in the folder.

    Returns:
        Clips without a label, in the order of the list, and the listed recordings that are not there.

    Raises:
        InputError: no such folder, a list that is wrong, recordings that are missing, or a speaker to be identified
            who is never trained on.

    Warns:
        UserWarning: speakers of whom one utterance trains.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    clips, missing = [], []
    find = recording_finder(folder)
    for utterance in read_split_list(split_list):
        speaker = speaker_folder(utterance.path)
        if not speaker:
            raise InputError(f"{split_list}: {utterance.path} has no folder, which would say who speaks")
        found = find(utterance.path)
        if found is None:
            missing.append(utterance.path)
        else:
            clips.append(Clip(found, speaker=speaker, split=_split(utterance.split, speaker, mode)))
    if not clips:
        raise InputError(
            f"{folder}: has none of the {len(missing)} recordings of {split_list}, such as {missing[0]};"
            " name the folder that holds those of the speakers"
        )
    if missing and not skip_missing:
        raise InputError(
            f"{folder}: {len(missing)} of {len(missing) + len(clips)} recordings of {split_list} are not there, the"
            f" first {missing[0]}; unpack the corpus again, or leave them out with --skip-missing"
        )
    _check_speakers(clips, split_list, mode)
    return Manifest(tuple(clips), folder), tuple(missing)


def _split(listed: str, speaker: str, mode: Mode) -> str:
    if mode == "identification":
        return listed
    if is_test_speaker(speaker):
        return "test"
    return "val" if listed == "val" else "train"


def _check_speakers(clips: list[Clip], split_list: Path, mode: Mode) -> None:
    trained = Counter(clip.speaker for clip in clips if clip.split == "train")
    if mode == "identification":
        strange = sorted({clip.speaker for clip in clips} - trained.keys())
        if strange:
            raise InputError(
                f"{split_list}: speaker {strange[0]}{_more(strange)}: no utterance trains, so that nobody could"
                " identify them; move a line to class 1, or remove the others"
            )
    elif not trained:
        raise InputError(f"{split_list}: no utterance trains; the list has the speakers of the verification test alone")
    single = sorted(speaker for speaker, count in trained.items() if count == 1)
    if single:
        warnings.warn(
            f"{split_list}: of speaker {single[0]}{_more(single)} one utterance trains, and what is said cannot be told"
            " from who says it",
            stacklevel=3,
        )


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
