"""The recordings of a speaker test: their files, speakers, and the pairs to compare."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import ClipPair, read_pairs
from earmark.data.lists.split_lists import read_split_list, recording_finder, speaker_naming
from earmark.data.manifest import read_manifest
from earmark.evaluation.protocols.verification import Pairs, every_pair, listed_pairs

Ints = NDArray[np.integer]


class IdentificationSettings(Settings):
    """Settings of an evaluation of speaker identification."""

    crops: int = Field(
        0,
        ge=0,
        description="Number of random crops of a recording to average, cut as in training; 0: the center crop, or the "
        "whole recording if the encoder accepts any length.",
    )
    skip_missing: bool = Field(False, description="Drop missing and silent recordings, and print their number.")
    seed: int = Field(0, description="Seed of the crops, and of the bootstrap over speakers.")


class VerificationSettings(IdentificationSettings):
    """Settings of an evaluation of speaker verification."""

    all_pairs: bool = Field(False, description="Compare all pairs of the recordings in a list of pairs.")
    split: str = Field("test", description="Split of a manifest.")
    norm: Literal["none", "as-norm"] = Field(
        "none", description="As-norm: normalize each score by the scores of both recordings against a cohort."
    )
    cohort_split: str = Field("train", description="Split of the cohort's manifest.")
    cohort_clips: int | None = Field(
        None, ge=1, description="Number of recordings of each cohort speaker to average; all if not given."
    )
    top: int = Field(300, ge=2, description="Number of most similar cohort speakers, for as-norm.")


@dataclass(frozen=True)
class SpeakerTrials:
    """Recordings of a speaker test.

    Attributes:
        files: file of each recording, by its path in the list.
        speakers: speaker by path; "" where unknown.
        listed: pairs to compare; None for all pairs.
        missing: paths of listed recordings that have no file.
    """

    files: dict[str, Path]
    speakers: dict[str, str]
    listed: tuple[ClipPair, ...] | None = None
    missing: tuple[str, ...] = ()

    def pairs(self, paths: Sequence[str]) -> Pairs:
        """Make the pairs to compare, as indices into `paths`; listed pairs with other recordings are dropped.

        Raises:
            InputError: all pairs are of one kind, or a speaker is unknown.
        """
        if self.listed is None:
            return every_pair([self.speakers[path] for path in paths])
        there = set(paths)
        kept = [pair for pair in self.listed if pair.first in there and pair.second in there]
        named, pairs = listed_pairs(kept)
        if not named:
            raise InputError(
                f"{len(self.listed)} pairs: no pair has both of its recordings; choose the folder of the corpus"
            )
        row_of = {path: row for row, path in enumerate(paths)}
        rows = [row_of[path] for path in named]
        return Pairs(_indexed(rows, pairs.first), _indexed(rows, pairs.second), pairs.is_same)


def read_identification(
    split_list: Path, audio: Path, *, manifest: Path | None = None, skip_missing: bool = False
) -> SpeakerTrials:
    """Read the test recordings, lines `3 path`, of a list such as `iden_split.txt`.

    Args:
        split_list: the list.
        audio: folder that the paths in the list are relative to.
        manifest: manifest with the speakers; None: see `speaker_naming`.
        skip_missing: drop recordings without a file.

    Raises:
        InputError: the list is wrong or has no test recording, or a recording is missing or has no speaker.
    """
    paths = [utterance.path for utterance in read_split_list(split_list) if utterance.split == "test"]
    if not paths:
        raise InputError(f"{split_list}: no test recordings; add lines '3 path'")
    files, missing = _find(paths, audio, split_list, skip=skip_missing)
    speaker_of = speaker_naming(audio, beside=split_list, manifest=manifest)
    trials = SpeakerTrials(files, {path: speaker_of(path) for path in files}, missing=missing)
    _check_named(trials, split_list)
    return trials


def read_verification(
    pairs: Path,
    audio: Path,
    *,
    all_pairs: bool = False,
    manifest: Path | None = None,
    skip_missing: bool = False,
) -> SpeakerTrials:
    """Read the recordings and pairs of a list such as `veri_test.txt`.

    Args:
        pairs: the list.
        audio: folder that the paths in the list are relative to.
        all_pairs: compare all pairs of the recordings instead.
        manifest: manifest with the speakers; None: see `speaker_naming`.
        skip_missing: drop pairs with a recording without a file.

    Raises:
        InputError: the list is wrong, a recording is missing, or all pairs are of one kind; or `all_pairs` is set and a
            recording has no speaker.
    """
    listed = read_pairs(pairs)
    if not all_pairs and len({pair.is_same for pair in listed}) == 1:
        kind, other = int(listed[0].is_same), ("one speaker", "two speakers")[listed[0].is_same]
        raise InputError(
            f"{pairs}: every line begins with {kind}; error rates need both kinds: add lines '{1 - kind} path path' of "
            f"{other}, or compare all pairs of its recordings"
        )
    paths = dict.fromkeys(path for pair in listed for path in (pair.first, pair.second))
    files, missing = _find(paths, audio, pairs, skip=skip_missing)
    speaker_of = speaker_naming(audio, beside=pairs, manifest=manifest)
    speakers = {path: speaker_of(path) for path in files}
    trials = SpeakerTrials(files, speakers, None if all_pairs else listed, missing)
    if all_pairs:
        _check_named(trials, pairs)
    return trials


def read_manifest_trials(
    path: Path, split: str, *, clips_per_speaker: int | None = None, skip_missing: bool = False
) -> SpeakerTrials:
    """Read the recordings of a split of a manifest, to compare all pairs of them.

    Args:
        path: the manifest.
        split: name of the split.
        clips_per_speaker: use only the first clips of each speaker; None for all.
        skip_missing: drop recordings without a file.

    Raises:
        InputError: the split is empty, a clip is a part of a file or has no speaker, or a file is missing.
    """
    manifest = read_manifest(path)
    clips = {clip.path: clip for clip in manifest.only(split)}
    if not clips:
        there = ", ".join(sorted({clip.split or "(none)" for clip in manifest}))
        raise InputError(f"{path}: no clips of split {split!r}; choose one of {there}")
    for clip in clips.values():
        if clip.start_s or clip.end_s is not None:
            raise InputError(f"{path}: {clip.path} is a part of a file; write each part into a file of its own first")
        if not clip.speaker:
            raise InputError(f"{path}: {clip.path} has no speaker; add the speaker, or remove the clip")
    by_speaker: dict[str, list[str]] = {}
    for clip in clips.values():
        by_speaker.setdefault(clip.speaker, []).append(clip.path)
    kept = {name for names in by_speaker.values() for name in names[:clips_per_speaker]}
    files, missing = _find([name for name in clips if name in kept], manifest.folder, path, skip=skip_missing)
    return SpeakerTrials(files, {name: clips[name].speaker for name in files}, missing=missing)


def _find(paths: Iterable[str], audio: Path, where: Path, *, skip: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    find = recording_finder(audio)
    found = {path: find(path) for path in paths}
    files = {path: audio / file for path, file in found.items() if file is not None}
    missing = tuple(path for path, file in found.items() if file is None)
    if not files:
        raise InputError(
            f"{audio}: none of the {len(missing)} recordings of {where} is in this folder, such as {missing[0]};"
            " choose the folder of the corpus"
        )
    if missing and not skip:
        raise InputError(
            f"{where}: {len(missing)} of {len(found)} recordings are not in {audio}, the first {missing[0]}; choose the"
            " folder of the corpus, or skip missing recordings (skip_missing)"
        )
    return files, missing


def _check_named(trials: SpeakerTrials, where: Path) -> None:
    for path, speaker in trials.speakers.items():
        if not speaker:
            raise InputError(f"{where}: the speaker of {path} is unknown; add a manifest with the speakers")


def _indexed(rows: Sequence[int], columns: Ints) -> Ints:
    return np.array(rows, np.int32)[columns]
