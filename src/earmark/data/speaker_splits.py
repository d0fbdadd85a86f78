"""Splits and pairs for speaker encoders, from a manifest with speakers.

Identification is tested on held-out utterances of the training speakers, and verification on pairs of utterances of
other speakers, which have the split `unseen`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest

UNSEEN = "unseen"
"""Split of the speakers that are not in training."""

_KEPT = ("noise", "rir")


class HoldOutSettings(Settings):
    """Numbers of utterances of each speaker to hold out from training."""

    val: int = Field(2, ge=0, description="Number of utterances of each speaker for validation.")
    test: int = Field(4, ge=0, description="Number of utterances of each speaker for testing.")
    seed: int = Field(0, description="Seed of the draws.")

    @property
    def least(self) -> int:
        """Minimum number of utterances of a speaker, so that one is left for training."""
        return self.val + self.test + 1


def utterances_by_speaker(manifest: Manifest, *splits: str) -> dict[str, tuple[Clip, ...]]:
    """Group the clips of some splits by speaker; clips are sorted by path, and each file is kept once.

    Raises:
        InputError: there are no clips in these splits, or a clip has no speaker.
    """
    found: dict[str, dict[str, Clip]] = {}
    for clip in sorted(manifest.only(*splits), key=lambda clip: clip.path):
        if not clip.speaker:
            raise InputError(
                f"{manifest.folder}: {clip.path} has no speaker in the manifest; add the speaker, or remove the clip"
            )
        found.setdefault(clip.speaker, {}).setdefault(clip.path, clip)
    if not found:
        there = sorted({clip.split or "(none)" for clip in manifest})
        raise InputError(
            f"{manifest.folder}: the manifest has no clips in split {', '.join(splits)}; choose among"
            f" {', '.join(there)}"
        )
    return {speaker: tuple(found[speaker].values()) for speaker in sorted(found)}


def drop_few(speakers: Mapping[str, Sequence[Clip]], least: int, *, skip: bool = False) -> dict[str, Sequence[Clip]]:
    """Return the speakers with at least `least` utterances.

    Args:
        speakers: utterances by speaker.
        least: minimum number of utterances.
        skip: drop speakers with fewer utterances; otherwise they are an error.

    Raises:
        InputError: a speaker has fewer utterances and `skip` is not set, or all speakers have fewer.
    """
    few = {speaker: len(clips) for speaker, clips in speakers.items() if len(clips) < least}
    if few and not skip:
        named = ", ".join(f"{speaker} ({count})" for speaker, count in list(few.items())[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise InputError(
            f"{len(few)} of {len(speakers)} speakers have fewer than {least} utterances: {named}{more}; hold out fewer"
            " utterances, or drop these speakers",
            key="skip_few",
        )
    if len(few) == len(speakers):
        raise InputError(
            f"all {len(speakers)} speakers have fewer than {least} utterances; add recordings, or hold out fewer"
        )
    return {speaker: clips for speaker, clips in speakers.items() if speaker not in few}


def hold_out(speakers: Mapping[str, Sequence[Clip]], settings: HoldOutSettings | None = None) -> tuple[Clip, ...]:
    """Assign the splits train, val and test to the utterances of each speaker.

    The draw of a speaker depends only on seed and name, so that other speakers do not change it.

    Args:
        speakers: utterances by speaker.
        settings: numbers of utterances, and seed.

    Raises:
        InputError: a speaker has no utterance left for training.
    """
    settings = settings or HoldOutSettings()
    val, test = settings.val, settings.test
    speakers = drop_few(speakers, settings.least)
    held = []
    for speaker, clips in speakers.items():
        order = _rng(settings.seed, "hold out", speaker).permutation(len(clips))
        splits = dict.fromkeys(order[:test].tolist(), "test") | dict.fromkeys(order[test : test + val].tolist(), "val")
        held += [replace(clip, split=splits.get(row, "train")) for row, clip in enumerate(clips)]
    return tuple(held)


def with_unseen(manifest: Manifest, held: Sequence[Clip], unseen: Mapping[str, Sequence[Clip]]) -> Manifest:
    """Make a manifest of the clips in `held`, the unseen speakers, and the noises and room responses of `manifest`.

    The utterances of `unseen`, which are given by speaker, get the split `unseen`.

    Raises:
        InputError: a speaker is both in training and unseen.
    """
    both = sorted({clip.speaker for clip in held} & unseen.keys())
    if both:
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        raise InputError(
            f"speaker {both[0]!r}{more}: both in training and among the unseen speakers, but verification needs"
            " speakers outside training; split the manifest by speaker"
        )
    others = [replace(clip, split=UNSEEN) for clips in unseen.values() for clip in clips]
    return replace(manifest, clips=(*held, *others, *manifest.only(*_KEPT)))


def draw_speaker_pairs(
    speakers: Mapping[str, Sequence[Clip]], count: int | None = None, *, seed: int = 0
) -> Iterator[tuple[bool, Clip, Clip]]:
    """Draw pairs of utterances; no pair is drawn twice, in either order.

    Args:
        speakers: utterances by speaker.
        count: number of pairs, half of them of one speaker, balanced over speakers as far as possible; None for all
            pairs.
        seed: seed of the draw.

    Yields:
        Whether both utterances are by one speaker, and the utterances.

    Raises:
        InputError: there are fewer than two speakers, a speaker has only one utterance, or there are fewer pairs than
            requested.
    """
    if len(speakers) < 2:
        raise InputError(
            f"{len(speakers)} speakers, but pairs of clips need at least two; add recordings of another speaker"
        )
    if count is None:
        clips = [clip for own in speakers.values() for clip in own]
        if len(clips) == len(speakers):
            raise InputError("every speaker has one utterance, but pairs of one speaker need two; add recordings")
        for row, first in enumerate(clips):
            yield from ((first.speaker == second.speaker, first, second) for second in clips[row + 1 :])
        return
    yield from _balanced(drop_few(speakers, 2), count, seed)


def _balanced(speakers: Mapping[str, Sequence[Clip]], count: int, seed: int) -> Iterator[tuple[bool, Clip, Clip]]:
    same = sum(len(clips) * (len(clips) - 1) // 2 for clips in speakers.values())
    total = sum(map(len, speakers.values()))
    different = total * (total - 1) // 2 - same
    if count < 2 or count - count // 2 > same or count // 2 > different:
        raise InputError(
            f"{count} pairs requested, half of them of one speaker, but there are only {same} pairs of one speaker and"
            f" {different} of two speakers; request fewer pairs, but at least 2",
            key="pairs",
        )
    names = list(speakers)
    rng = _rng(seed, "pairs")
    left = {
        name: [(one, other) for other in range(len(clips)) for one in range(other)] for name, clips in speakers.items()
    }
    for name in names:
        rng.shuffle(left[name])
    drawn = 0
    while drawn < count - count // 2:  # in turn, so that the pairs are balanced over speakers
        for name in names:
            if left[name] and drawn < count - count // 2:
                one, other = left[name].pop()
                yield True, speakers[name][one], speakers[name][other]
                drawn += 1
    seen: set[tuple[str, int, str, int]] = set()
    while len(seen) < count // 2:
        for name in names:
            if len(seen) == count // 2:
                break
            partner = names[(names.index(name) + int(rng.integers(1, len(names)))) % len(names)]
            pair = (name, int(rng.integers(len(speakers[name]))), partner, int(rng.integers(len(speakers[partner]))))
            if pair in seen or (pair[2], pair[3], pair[0], pair[1]) in seen:
                continue
            seen.add(pair)
            yield False, speakers[name][pair[1]], speakers[partner][pair[3]]


def _rng(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, *" ".join(names).encode()])
