"""Random splits into test clips and few labeled training clips of each word; all encoders have the same splits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.evaluation.protocols.trials import TrialClip


@dataclass(frozen=True)
class LabelSplit:
    """Training and test clips of one repetition.

    Attributes:
        labels: number of training clips of each word; None for all.
        repetition: number of the repetition, from 1.
        train: training clips.
        test: test clips.
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
    """Draw training clips from one list in each repetition; all clips of the other list are test clips.

    Within a repetition, a larger number of labels adds clips to those of a smaller number.

    Args:
        train: clips to draw training clips from.
        test: test clips of the same words.
        labels: numbers of training clips of each word; with None, all are training clips, and repetitions differ only
            in the seed of the classifier.
        repetitions: repetitions for each number of labels.
        seed: seed of the random splits.

    Raises:
        InputError: a clip is in both lists, a test word has no training clip, or a word has too few.
    """
    known = {clip.path for clip in train}
    for clip in test:
        if clip.path in known:
            raise InputError(f"{clip.path} is both a training and a test clip; remove it from one of the two lists")
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
    """Split the speakers into random halves in each repetition: one half for training, the other for testing.

    Args:
        clips: clips of all speakers.
        speaker_of: speaker by path.
        labels: numbers of training clips of each word; None for all clips of the training half.
        repetitions: repetitions for each number of labels.
        seed: seed of the random splits.

    Raises:
        InputError: a clip has no speaker, there are fewer than two speakers, or a word has too few training clips.
    """
    for clip in clips:
        if not speaker_of.get(clip.path):
            raise InputError(
                f"{clip.path}: the speaker of this clip is unknown; choose a training split and a test split"
            )
    speakers = sorted({speaker_of[clip.path] for clip in clips})
    if len(speakers) < 2:
        raise InputError(f"{speakers[0]} is the only speaker, but half of the speakers are for testing; add speakers")
    splits = []
    for repetition in range(1, repetitions + 1):
        rng = np.random.default_rng([seed, repetition])
        half = {speakers[row] for row in rng.permutation(len(speakers))[: (len(speakers) + 1) // 2]}
        shuffled = [clips[row] for row in rng.permutation(len(clips))]
        train = [clip for clip in shuffled if speaker_of[clip.path] in half]
        test = tuple(clip for clip in clips if speaker_of[clip.path] not in half)
        _check_words(train, test)
        splits += [LabelSplit(number, repetition, _first(train, number), test) for number in labels]
    return _by_labels(splits, labels)


def keep_words(clips: Iterable[TrialClip], words: Collection[str]) -> tuple[TrialClip, ...]:
    """Keep only the clips of some words.

    Args:
        clips: clips of any words.
        words: labels; spaces count as `_`.

    Raises:
        InputError: a word has no clip.
    """
    clips = tuple(clips)
    present = {clip.label for clip in clips}
    wanted = {listed_label(word) for word in words}
    for word in sorted(wanted - present):
        near = get_close_matches(word, present, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"the words are {', '.join(sorted(present))}"
        raise InputError(f"word {word!r} has no clip; {cure}")
    return tuple(clip for clip in clips if clip.label in wanted)


def _first(clips: Iterable[TrialClip], number: int | None) -> tuple[TrialClip, ...]:
    """The first `number` clips of each word; all clips for None."""
    if number is None:
        return tuple(clips)
    seen: dict[str, list[TrialClip]] = {}
    for clip in clips:
        seen.setdefault(clip.label, []).append(clip)
    for word, own in sorted(seen.items()):
        if len(own) < number:
            raise InputError(
                f"word {word!r}: only {len(own)} clips to draw {number} labels from; use fewer labels, or drop the word"
            )
    return tuple(clip for own in seen.values() for clip in own[:number])


def _check_words(train: Iterable[TrialClip], test: Iterable[TrialClip]) -> None:
    present = {clip.label for clip in train}
    for clip in test:
        if clip.label not in present:
            raise InputError(f"{clip.path}: word {clip.label!r} has no training clip; drop the word")
    if len(present) < 2:
        raise InputError("words: a classifier needs two or more; add clips of another word")


def _by_labels(splits: Iterable[LabelSplit], labels: Sequence[int | None]) -> tuple[LabelSplit, ...]:
    return tuple(sorted(splits, key=lambda split: labels.index(split.labels)))
