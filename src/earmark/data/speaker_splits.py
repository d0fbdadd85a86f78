"""From a manifest whose clips have speakers: utterances held out of each speaker, and pairs of others to verify.

An encoder of speakers is judged twice. Identification: of each speaker of one split most utterances train, a few
validate and a few test. Verification: pairs of utterances of speakers that training never heard, the split `unseen`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest

UNSEEN = "unseen"
"""The split of speakers that no training hears."""

_KEPT = ("noise", "rir")


def utterances_by_speaker(manifest: Manifest, *splits: str) -> dict[str, tuple[Clip, ...]]:
    """The clips of some splits by speaker, both in the order of their names, each file once.

    Raises:
        InputError: no clips of these splits, or one without a speaker.
    """
    found: dict[str, dict[str, Clip]] = {}
    for clip in sorted(manifest.only(*splits), key=lambda clip: clip.path):
        if not clip.speaker:
            raise InputError(
                f"{manifest.folder}: {clip.path} has no speaker in the manifest; name one, or leave it out"
            )
        found.setdefault(clip.speaker, {}).setdefault(clip.path, clip)
    if not found:
        there = sorted({clip.split or "(none)" for clip in manifest})
        raise InputError(
            f"{manifest.folder}: no clips in split {', '.join(splits)}; the manifest has {', '.join(there)}"
        )
    return {speaker: tuple(found[speaker].values()) for speaker in sorted(found)}


def without_few(speakers: Mapping[str, Sequence[Clip]], least: int, *, skip: bool = False) -> dict[str, Sequence[Clip]]:
    """The speakers with so many utterances or more.

    Raises:
        InputError: somebody has fewer, and nobody said to skip them; or nobody has as many.
    """
    few = {speaker: len(clips) for speaker, clips in speakers.items() if len(clips) < least}
    if few and not skip:
        named = ", ".join(f"{speaker} ({count})" for speaker, count in list(few.items())[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise InputError(
            f"{len(few)} of {len(speakers)} speakers have fewer than {least} utterances: {named}{more}; hold out fewer"
            " (--val, --test), or leave such speakers out (--skip-few)"
        )
    if len(few) == len(speakers):
        raise InputError(f"not one of {len(speakers)} speakers has {least} utterances or more; hold out fewer")
    return {speaker: clips for speaker, clips in speakers.items() if speaker not in few}


def hold_out(speakers: Mapping[str, Sequence[Clip]], *, val: int = 2, test: int = 4, seed: int = 0) -> tuple[Clip, ...]:
    """Give each speaker's utterances the splits train, val and test.

    A speaker's draw follows from the seed and the speaker's name alone: it stays when speakers are added.

    Args:
        speakers: utterances by speaker, each with more than are held out.
        val: so many utterances of each speaker validate.
        test: so many test.
        seed: of the draw.

    Raises:
        InputError: negative numbers, or a speaker of whom nothing would be left to train on.
    """
    if val < 0 or test < 0:
        raise InputError(f"val {val} and test {test}: utterances of each speaker, 0 or more")
    speakers = without_few(speakers, val + test + 1)
    held = []
    for speaker, clips in speakers.items():
        order = _rng(seed, "hold out", speaker).permutation(len(clips))
        splits = dict.fromkeys(order[:test].tolist(), "test") | dict.fromkeys(order[test : test + val].tolist(), "val")
        held += [replace(clip, split=splits.get(row, "train")) for row, clip in enumerate(clips)]
    return tuple(held)


def with_unseen(manifest: Manifest, held: Sequence[Clip], unseen: Mapping[str, Sequence[Clip]]) -> Manifest:
    """A manifest of the held-out utterances, of unseen speakers, and of the noises and rooms of another manifest.

    Raises:
        InputError: a speaker who is heard in training and unseen.
    """
    both = sorted({clip.speaker for clip in held} & unseen.keys())
    if both:
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        raise InputError(
            f"speaker {both[0]!r}{more}: in both splits of the manifest, but verification needs speakers that training"
            " never hears; split it by speaker"
        )
    others = [replace(clip, split=UNSEEN) for clips in unseen.values() for clip in clips]
    return replace(manifest, clips=(*held, *others, *manifest.only(*_KEPT)))


def draw_pairs(
    speakers: Mapping[str, Sequence[Clip]], count: int | None = None, *, seed: int = 0
) -> Iterator[tuple[bool, Clip, Clip]]:
    """Pairs of utterances, and whether one speaker spoke both; no pair comes twice, in either order.

    Args:
        speakers: utterances by speaker.
        count: so many pairs, half of them of one speaker, each speaker in as many as any other as far as they reach;
            None for all pairs.
        seed: of the draw.

    Raises:
        InputError: fewer than two speakers, a speaker with one utterance, or fewer pairs than asked for.
    """
    if len(speakers) < 2:
        raise InputError(f"{len(speakers)} speakers: pairs of two speakers need two")
    if count is None:
        clips = [clip for own in speakers.values() for clip in own]
        if len(clips) == len(speakers):
            raise InputError("every speaker has one utterance, and pairs of one speaker need two; add recordings")
        for row, first in enumerate(clips):
            yield from ((first.speaker == second.speaker, first, second) for second in clips[row + 1 :])
        return
    yield from _balanced(without_few(speakers, 2), count, seed)


def _balanced(speakers: Mapping[str, Sequence[Clip]], count: int, seed: int) -> Iterator[tuple[bool, Clip, Clip]]:
    same = sum(len(clips) * (len(clips) - 1) // 2 for clips in speakers.values())
    total = sum(map(len, speakers.values()))
    different = total * (total - 1) // 2 - same
    if count < 2 or count - count // 2 > same or count // 2 > different:
        raise InputError(
            f"{count} pairs, half of them of one speaker: {same} pairs of one speaker and {different} of two are there;"
            " ask for fewer, 2 or more"
        )
    names = list(speakers)
    rng = _rng(seed, "pairs")
    left = {
        name: [(one, other) for other in range(len(clips)) for one in range(other)] for name, clips in speakers.items()
    }
    for name in names:
        rng.shuffle(left[name])
    drawn = 0
    while drawn < count - count // 2:  # in turn, so that each speaker gives as many as any other
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
