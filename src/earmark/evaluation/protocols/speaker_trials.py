"""What a test of speakers names: recordings, where they lie, who speaks in them, and which are compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import ClipPair, read_pairs
from earmark.data.lists.split_lists import read_split_list, recording_finder, speaker_naming
from earmark.data.manifest import read_manifest
from earmark.evaluation.protocols.verification import Pairs, every_pair, listed_pairs

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class SpeakerTrials:
    """Recordings of a test.

    Attributes:
        places: where each recording lies, by its path in the list.
        speakers: who speaks, by path; "" where nothing says so.
        listed: pairs to compare; None for all pairs.
        missing: recordings that the list names and that are not there.
    """

    places: dict[str, Path]
    speakers: dict[str, str]
    listed: tuple[ClipPair, ...] | None = None
    missing: tuple[str, ...] = ()

    def pairs(self, paths: Sequence[str]) -> Pairs:
        """Pairs of these recordings as rows among them; a listed pair with another recording is left out.

        Raises:
            InputError: all of them are of one kind, or nobody knows who speaks.
        """
        if self.listed is None:
            return every_pair([self.speakers[path] for path in paths])
        there = set(paths)
        kept = [pair for pair in self.listed if pair.first in there and pair.second in there]
        named, pairs = listed_pairs(kept)
        if not named:
            raise InputError(
                f"none of the {len(self.listed)} pairs has both recordings; name the folder of this corpus"
            )
        row_of = {path: row for row, path in enumerate(paths)}
        rows = [row_of[path] for path in named]
        return Pairs(_taken(rows, pairs.first), _taken(rows, pairs.second), pairs.is_same)


def read_identification(
    split_list: Path, audio: Path, *, manifest: Path | None = None, skip_missing: bool = False
) -> SpeakerTrials:
    """The recordings that `iden_split.txt` holds back to test, its lines `3 path`.

    Args:
        split_list: the list.
        audio: the folder that its paths start from.
        manifest: knows who speaks; None: see `speaker_naming`.
        skip_missing: leave out recordings that are not there.

    Raises:
        InputError: a wrong list, no such line, a missing recording, or one by nobody.
    """
    paths = [utterance.path for utterance in read_split_list(split_list) if utterance.split == "test"]
    if not paths:
        raise InputError(f"{split_list}: no line '3 path', and those are what is identified")
    places, missing = _find(paths, audio, split_list, skip=skip_missing)
    speaker_of = speaker_naming(audio, beside=split_list, manifest=manifest)
    trials = SpeakerTrials(places, {path: speaker_of(path) for path in places}, missing=missing)
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
    """The recordings and pairs of a list such as `veri_test.txt`.

    Args:
        pairs: the list.
        audio: the folder that its paths start from.
        all_pairs: compare every two of the recordings instead.
        manifest: knows who speaks; None: see `speaker_naming`.
        skip_missing: leave out pairs with a recording that is not there.

    Raises:
        InputError: a wrong list, a missing recording, pairs of one kind alone, or (all pairs) a recording by nobody.
    """
    listed = read_pairs(pairs)
    if not all_pairs and len({pair.is_same for pair in listed}) == 1:
        kind, other = int(listed[0].is_same), ("one speaker", "two speakers")[listed[0].is_same]
        raise InputError(
            f"{pairs}: every line begins with {kind}; error rates need both kinds: add lines '{1 - kind} path path' of "
            f"{other}, or compare all pairs of its recordings by --all-pairs"
        )
    paths = dict.fromkeys(path for pair in listed for path in (pair.first, pair.second))
    places, missing = _find(paths, audio, pairs, skip=skip_missing)
    speaker_of = speaker_naming(audio, beside=pairs, manifest=manifest)
    speakers = {path: speaker_of(path) for path in places}
    trials = SpeakerTrials(places, speakers, None if all_pairs else listed, missing)
    if all_pairs:
        _check_named(trials, pairs)
    return trials


def read_manifest_trials(
    path: Path, split: str, *, of_each: int | None = None, skip_missing: bool = False
) -> SpeakerTrials:
    """All pairs of the recordings of a manifest's split.

    Args:
        path: the manifest.
        split: whose clips.
        of_each: only the first so many of each speaker.
        skip_missing: leave out recordings that are not there.

    Raises:
        InputError: no such clips, a clip that is a part of a file or has no speaker, or a missing file.
    """
    manifest = read_manifest(path)
    clips = {clip.path: clip for clip in manifest.only(split)}
    if not clips:
        there = ", ".join(sorted({clip.split or "(none)" for clip in manifest}))
        raise InputError(f"{path}: no clips of split {split}; the manifest has {there}")
    for clip in clips.values():
        if clip.start_s or clip.end_s is not None:
            raise InputError(f"{path}: {clip.path} is a part of a file, and whole files are compared; cut it out first")
        if not clip.speaker:
            raise InputError(f"{path}: {clip.path} has no speaker; name one, or leave it out")
    heard: dict[str, list[str]] = {}
    for clip in clips.values():
        heard.setdefault(clip.speaker, []).append(clip.path)
    kept = {name for names in heard.values() for name in names[:of_each]}
    places, missing = _find([name for name in clips if name in kept], manifest.folder, path, skip=skip_missing)
    return SpeakerTrials(places, {name: clips[name].speaker for name in places}, missing=missing)


def _find(paths: Iterable[str], audio: Path, where: Path, *, skip: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    find = recording_finder(audio)
    found = {path: find(path) for path in paths}
    places = {path: audio / place for path, place in found.items() if place is not None}
    missing = tuple(path for path, place in found.items() if place is None)
    if not places:
        raise InputError(f"{audio}: has none of the {len(missing)} recordings of {where}, such as {missing[0]}")
    if missing and not skip:
        raise InputError(
            f"{where}: {len(missing)} of {len(found)} recordings are not in {audio}, the first {missing[0]}; is it the"
            " folder of this corpus? --skip-missing leaves them out"
        )
    return places, missing


def _check_named(trials: SpeakerTrials, where: Path) -> None:
    for path, speaker in trials.speakers.items():
        if not speaker:
            raise InputError(f"{where}: nothing says who speaks in {path}; name a manifest that does with --speakers")


def _taken(rows: Sequence[int], columns: Ints) -> Ints:
    return np.array(rows, np.int32)[columns]
