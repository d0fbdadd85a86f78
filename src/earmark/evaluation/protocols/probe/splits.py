"""Who teaches and who tests: splits of a few labeled clips of each word, the same for every encoder that is judged."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.evaluation.protocols.trials import TrialClip


@dataclass(frozen=True)
class LabelSplit:
    """The clips of one repetition.

    Attributes:
        labels: how many labeled clips of each word teach; None for all there are.
        repetition: from 1.
        train: the clips that teach.
        test: the clips that are told apart.
    """

    labels: int | None
    repetition: int
    train: tuple[TrialClip, ...]
    test: tuple[TrialClip, ...]


def split_lists(
    train: Sequence[TrialClip],
    test: Sequence[TrialClip],
    *,
    labels: Sequence[int | None] = (None,),
    repetitions: int = 5,
    seed: int = 0,
) -> tuple[LabelSplit, ...]:
    """Labeled clips from one list, drawn anew in each repetition; all of the other list tests.

    Fewer labels are the first of more: a repetition with 5 has them among those that it has with 20.

    Args:
        train: clips with labels.
        test: clips of the same words.
        labels: how many of each word; None for all, so that repetitions differ by the classifier alone.
        repetitions: how many for each number of labels.
        seed: of all splits.

    Raises:
        InputError: a clip in both lists, a test word that has no labeled clip, or a word with too few of them.
    """
    known = {clip.path for clip in train}
    for clip in test:
        if clip.path in known:
            raise InputError(f"{clip.path}: both labeled and tested; remove it from one list")
    _check_words(train, test)
    splits = []
    for repetition in range(1, repetitions + 1):
        order = np.random.default_rng([seed, repetition]).permutation(len(train))
        shuffled = [train[row] for row in order]
        splits += [LabelSplit(number, repetition, _first(shuffled, number), tuple(test)) for number in labels]
    return _by_labels(splits, labels)


def split_speakers(
    clips: Sequence[TrialClip],
    speaker_of: Mapping[str, str],
    *,
    labels: Sequence[int | None] = (None,),
    repetitions: int = 5,
    seed: int = 0,
) -> tuple[LabelSplit, ...]:
    """In each repetition other halves of the speakers: one labels, the other tests.

    Args:
        clips: of all speakers.
        speaker_of: by path.
        labels: how many of each word; None for all that the half says.
        repetitions: how many for each number of labels.
        seed: of all splits.

    Raises:
        InputError: a clip without a speaker, fewer than two speakers, or a word with too few labeled clips.
    """
    for clip in clips:
        if not speaker_of.get(clip.path):
            raise InputError(f"{clip.path}: nobody knows who speaks; name the split that labels and the one that tests")
    speakers = sorted({speaker_of[clip.path] for clip in clips})
    if len(speakers) < 2:
        raise InputError(f"{speakers[0]} is the only speaker; half of the speakers label, the others test")
    splits = []
    for repetition in range(1, repetitions + 1):
        rng = np.random.default_rng([seed, repetition])
        teachers = {speakers[row] for row in rng.permutation(len(speakers))[: (len(speakers) + 1) // 2]}
        shuffled = [clips[row] for row in rng.permutation(len(clips))]
        train = [clip for clip in shuffled if speaker_of[clip.path] in teachers]
        test = tuple(clip for clip in clips if speaker_of[clip.path] not in teachers)
        _check_words(train, test)
        splits += [LabelSplit(number, repetition, _first(train, number), test) for number in labels]
    return _by_labels(splits, labels)


def keep_words(clips: Iterable[TrialClip], words: Collection[str]) -> tuple[TrialClip, ...]:
    """The clips that say one of the words.

    Args:
        clips: any.
        words: labels; spaces count as `_`.

    Raises:
        InputError: a word that no clip says.
    """
    clips = tuple(clips)
    present = {clip.label for clip in clips}
    wanted = {listed_label(word) for word in words}
    for word in sorted(wanted - present):
        near = get_close_matches(word, present, n=1)
        raise InputError(f"no clip says {word!r}; {_cure(near, present)}")
    return tuple(clip for clip in clips if clip.label in wanted)


def _cure(near: Sequence[str], present: Collection[str]) -> str:
    return f"did you mean {near[0]!r}?" if near else f"the words are {', '.join(sorted(present))}"


def _first(clips: Iterable[TrialClip], number: int | None) -> tuple[TrialClip, ...]:
    """The first so many clips of each word."""
    if number is None:
        return tuple(clips)
    seen: dict[str, list[TrialClip]] = {}
    for clip in clips:
        seen.setdefault(clip.label, []).append(clip)
    for word, own in sorted(seen.items()):
        if len(own) < number:
            raise InputError(
                f"{word!r}: only {len(own)} clips to draw {number} labels from; ask for fewer, or leave the word out"
            )
    return tuple(clip for own in seen.values() for clip in own[:number])


def _check_words(train: Iterable[TrialClip], test: Iterable[TrialClip]) -> None:
    present = {clip.label for clip in train}
    for clip in test:
        if clip.label not in present:
            raise InputError(f"{clip.path}: says {clip.label!r}, which no labeled clip says; leave the word out")
    if len(present) < 2:
        raise InputError("a classifier needs two words or more")


def _by_labels(splits: Iterable[LabelSplit], labels: Sequence[int | None]) -> tuple[LabelSplit, ...]:
    place: Callable[[LabelSplit], int] = lambda split: labels.index(split.labels)  # noqa: E731
    return tuple(sorted(splits, key=place))
