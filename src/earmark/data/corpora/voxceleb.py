"""VoxCeleb1 in its published layout, `id10001/VIDEO/00001.wav`, with its list `iden_split.txt`.

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

# Numbers of the speakers whose names begin with E.
_TEST_NUMBERS = range(10270, 10310)


def is_test_speaker(speaker: str) -> bool:
    """Whether a speaker is among the 40 speakers of the verification test, whose names begin with E.

    >>> is_test_speaker("Eartha_Kitt"), is_test_speaker("id10270"), is_test_speaker("id10310")
    (True, True, False)
    """
    number = re.fullmatch(r"id(\d{5})", speaker)
    return int(number[1]) in _TEST_NUMBERS if number else speaker.startswith("E")


def read_voxceleb(
    folder: str | Path, split_list: Path, *, mode: Mode = "identification", skip_missing: bool = False
) -> tuple[Manifest, tuple[str, ...]]:
    """Make a manifest of VoxCeleb1; the splits depend on the list and the mode.

    The speaker is the name of the folder. The published scripts start a new speaker where the first column decreases
    from one line to the next, which merges two speakers if a speaker has no test line or if the lines are sorted.

    Args:
        folder: folder of the corpus; the folders of speakers may be in `wav`, or in `dev/wav` and `test/wav`.
        split_list: `iden_split.txt`; speakers are numbers (id10001) or, in the first release, names.
        mode: identification: train, val and test as listed. Verification: all utterances of the 40 speakers whose
            names begin with E are test; utterances of other speakers are val if listed as val, else train.
        skip_missing: drop listed recordings that are missing.

    Returns:
        Clips without a label, in the order of the list, and the paths of missing recordings.

    Raises:
        InputError: the folder is missing, the list is wrong, recordings are missing, or a speaker has no training
            utterance (identification).

    Warns:
        UserWarning: a speaker has a single training utterance.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    clips, missing = [], []
    find = recording_finder(folder)
    for utterance in read_split_list(split_list):
        speaker = speaker_folder(utterance.path)
        if not speaker:
            raise InputError(f"{split_list}: {utterance.path} has no folder of a speaker; write SPEAKER/VIDEO/FILE")
        found = find(utterance.path)
        if found is None:
            missing.append(utterance.path)
        else:
            clips.append(Clip(found, speaker=speaker, split=_split(utterance.split, speaker, mode)))
    if not clips:
        raise InputError(
            f"{folder}: contains none of the {len(missing)} recordings of {split_list}, the first {missing[0]};"
            " use the folder that contains the folders of the speakers"
        )
    if missing and not skip_missing:
        raise InputError(
            f"{folder}: {len(missing)} of {len(missing) + len(clips)} recordings of {split_list} are missing, the"
            f" first {missing[0]}; unpack the corpus again, or drop these recordings (skip_missing)"
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
        untrained = sorted({clip.speaker for clip in clips} - trained.keys())
        if untrained:
            raise InputError(
                f"{split_list}: speaker {untrained[0]}{_more(untrained)}: no training utterance, which identification"
                " needs; begin one of the speaker's lines with 1 (train), or remove them"
            )
    elif not trained:
        raise InputError(f"{split_list}: all speakers are for the verification test; add speakers for training")
    single = sorted(speaker for speaker, count in trained.items() if count == 1)
    if single:
        warnings.warn(
            f"{split_list}: speaker {single[0]}{_more(single)}: only one training utterance; add more, because one"
            " utterance does not separate voice and words",
            stacklevel=3,
        )


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
