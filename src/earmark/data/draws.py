"""Draws of lists: what enrolls, what tests, what trains, and which clips are compared, from a seed.

Each word is drawn from the seed and its own name, so that leaving a word out changes nothing for the others, and
more takes begin with the fewer ones.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.data.manifest import Clip, Manifest

Words = Mapping[str, Sequence[Clip]]
"""Clips by word; words as lists write them."""


@dataclass(frozen=True)
class FewShotDraw:
    """What enrolls the keywords, and what tests them."""

    enrollment: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclass(frozen=True)
class OpenSetDraw:
    """What trains targets and seen unknown words, and what tests these and unseen ones.

    Attributes:
        train: clips of the targets and of `seen`.
        val: others of them, for choosing thresholds; may be empty.
        test: clips of the targets, of `seen` and of `unseen`.
        seen: unknown words that training hears.
        unseen: unknown words that only the test has.
    """

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]


def clips_by_word(manifest: Manifest, splits: Collection[str]) -> dict[str, tuple[Clip, ...]]:
    """The labeled clips of some splits, by word and in the order of their paths, each file once.

    Raises:
        InputError: the manifest has no labeled clips of these splits.
    """
    found: dict[str, dict[str, Clip]] = {}
    for clip in sorted(manifest.only(*splits), key=lambda clip: clip.path):
        if clip.label:
            found.setdefault(listed_label(clip.label), {}).setdefault(clip.path, clip)
    if not found:
        there = sorted({clip.split or "(none)" for clip in manifest if clip.label})
        raise InputError(
            f"{manifest.folder}: no labeled clips in split {', '.join(splits)}; the manifest has"
            f" {', '.join(there) or 'no labels'}"
        )
    return {word: tuple(found[word].values()) for word in sorted(found)}


def draw_few_shot(
    words: Words,
    keywords: Sequence[str],
    takes: int,
    *,
    seed: int,
    voices: int | None = None,
    new_speakers: bool = True,
    impostors: Sequence[str] | None = None,
    per_keyword: int | None = None,
    per_impostor: int | None = None,
) -> FewShotDraw:
    """Draw which clips enroll each keyword and which test it. No file does both.

    Args:
        words: clips to draw from.
        keywords: words to enroll.
        takes: clips that enroll a keyword, each by another speaker.
        seed: of the draw.
        voices: so many speakers, who said every keyword, enroll all of them and test none; a speaker may then give
            several takes of a word. None: the speakers are drawn for each keyword by itself.
        new_speakers: no test clip is by a speaker who enrolled anything.
        impostors: words that test beside the keywords; None for all others.
        per_keyword: at most so many test clips of a keyword.
        per_impostor: at most so many of any other word.

    Raises:
        InputError: an unknown word, too few speakers or clips, or nothing left to test a keyword with.
    """
    _check_words(keywords, words)
    others = [word for word in words if word not in keywords] if impostors is None else list(impostors)
    _check_words(others, words)
    for word in others:
        if word in keywords:
            raise InputError(f"{word!r} is a keyword and an impostor; leave it out of one of them")
    if new_speakers or voices is not None:
        _check_speakers({word: words[word] for word in (*keywords, *others)})
    if voices is None:
        enrollment = [clip for word in keywords for clip in _of_different_speakers(word, words[word], takes, seed)]
        enrolled = {clip.speaker for clip in enrollment}
    else:
        pool = _pool(words, keywords, voices, seed)
        enrollment = [clip for word in keywords for clip in _in_turn(word, words[word], pool, takes, seed)]
        enrolled = set(pool)
    known = enrolled - {""} if new_speakers else set()
    enrolls = {clip.path for clip in enrollment}
    test: list[Clip] = []
    for word in sorted({*keywords, *others}):
        left = [clip for clip in words[word] if clip.path not in enrolls and clip.speaker not in known]
        if not left and word in keywords:
            raise InputError(
                f"keyword {word!r}: with {takes} takes every speaker enrolls something, and nobody is left to test;"
                " draw fewer takes (--takes), let the same few speakers enroll all keywords (--voices),"
                " or test on known speakers too (--any-speakers)"
            )
        test += _pick(left, per_keyword if word in keywords else per_impostor, _rng(seed, "test", word))
    return FewShotDraw(tuple(enrollment), tuple(test))


def draw_training(
    words: Words, chosen: Sequence[str], *, seed: int, per_word: int | None = None, without: Collection[str] = ()
) -> tuple[Clip, ...]:
    """Draw what trains. Words with too few clips are repeated in turn, as the lists of LibriSpeech Keywords are.

    Args:
        words: clips to draw from.
        chosen: words to train on.
        seed: of the draw.
        per_word: exactly so many lines a word; None for every clip once.
        without: paths that enroll or test, and therefore never train.

    Raises:
        InputError: an unknown word, or one of which nothing is left.
    """
    _check_words(chosen, words)
    lines: list[Clip] = []
    for word in chosen:
        left = [clip for clip in words[word] if clip.path not in without]
        if not left:
            raise InputError(
                f"word {word!r}: all of its clips enroll or test, and none is left to train;"
                " draw training from another split (--train-from), or put a limit on the test clips"
            )
        drawn = _pick(left, per_word, _rng(seed, "train", word))
        lines += [drawn[number % len(drawn)] for number in range(per_word or len(drawn))]
    return tuple(lines)


def draw_open_set(
    train: Words,
    test: Words,
    targets: Sequence[str],
    *,
    seed: int,
    val: Words | None = None,
    seen: Sequence[str] | None = None,
    train_per_word: int | None = None,
    test_per_target: int | None = None,
    test_per_unknown: int | None = None,
) -> OpenSetDraw:
    """Draw lists for known targets and an open set of unknown words, as Huh et al. (arXiv:2005.08776) test.

    No file is in two of the lists.

    Args:
        train: clips to train from.
        test: clips to test from.
        targets: words to tell apart; every other word is unknown.
        seed: of the draw.
        val: clips to choose thresholds on; targets and seen words are taken of them, as far as they are there.
        seen: unknown words to train on; None: half of them are drawn, the smaller half where they are odd.
        train_per_word: see `draw_training`.
        test_per_target: at most so many test clips of a target.
        test_per_unknown: at most so many of an unknown word.

    Raises:
        InputError: an unknown name, or a word of which nothing is left.
    """
    _check_words(targets, train)
    _check_words(targets, test)
    unknown = [word for word in test if word not in targets]
    if seen is None:
        candidates = [word for word in unknown if word in train]
        order = _rng(seed, "seen").permutation(len(candidates))[: len(unknown) // 2]
        seen = [candidates[index] for index in sorted(order)]
    _check_words(seen, train)
    for word in seen:
        if word in targets:
            raise InputError(f"{word!r} is a target and a seen unknown word; leave it out of one of them")
    tests = [
        clip
        for word in sorted({*targets, *unknown})
        for clip in _pick(
            test[word], test_per_target if word in targets else test_per_unknown, _rng(seed, "test", word)
        )
    ]
    tested = {clip.path for clip in tests}
    vals = [clip for word in (*targets, *seen) for clip in (val or {}).get(word, ()) if clip.path not in tested]
    trains = draw_training(
        train, [*targets, *seen], seed=seed, per_word=train_per_word, without=tested | {clip.path for clip in vals}
    )
    unseen = tuple(word for word in unknown if word not in seen)
    return OpenSetDraw(trains, tuple(vals), tuple(tests), tuple(seen), unseen)


def draw_pairs(
    words: Words, chosen: Sequence[str], *, seed: int, anchors: int = 10, positives: int = 270, negatives: int = 30
) -> Iterator[tuple[bool, Clip, Clip]]:
    """Draw pairs that say the same word or different ones. The defaults are those of LibriSpeech Keywords.

    Args:
        words: clips to draw from.
        chosen: words to compare.
        seed: of the draw.
        anchors: clips of each word that are compared with others.
        positives: how many other clips of its word an anchor is compared with.
        negatives: and how many of each other word.

    Yields:
        Whether both say the same, the anchor, and the other clip.

    Raises:
        InputError: an unknown word, or a word with too few clips.
    """
    _check_words(chosen, words)
    least = max(anchors, positives + 1, negatives)
    for word in chosen:
        if len(words[word]) < least:
            raise InputError(
                f"word {word!r}: has {len(words[word])} clips; {anchors} anchors, {positives} positives and"
                f" {negatives} negatives need {least}; ask for fewer, or leave the word out"
            )
    for word in chosen:
        rng = _rng(seed, "pairs", word)
        for number in rng.choice(len(words[word]), size=anchors, replace=False):
            anchor = words[word][number]
            same = [clip for clip in words[word] if clip is not anchor]
            yield from ((True, anchor, clip) for clip in _pick(same, positives, rng))
            for other in chosen:
                if other != word:
                    yield from ((False, anchor, clip) for clip in _pick(words[other], negatives, rng))


def _rng(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, *" ".join(names).encode()])


def _pick(clips: Sequence[Clip], count: int | None, rng: np.random.Generator) -> list[Clip]:
    """So many of the clips, in their order; all of them where there are no more."""
    if count is None or count >= len(clips):
        return list(clips)
    return [clips[index] for index in sorted(rng.choice(len(clips), size=count, replace=False))]


def _of_different_speakers(word: str, clips: Sequence[Clip], takes: int, seed: int) -> list[Clip]:
    by_speaker: dict[str, Clip] = {}
    for index in _rng(seed, "enroll", word).permutation(len(clips)):
        # Somebody unknown counts as somebody else every time.
        by_speaker.setdefault(clips[index].speaker or clips[index].path, clips[index])
    if len(by_speaker) < takes:
        raise InputError(
            f"keyword {word!r}: {len(by_speaker)} speakers said it, and {takes} takes need {takes};"
            " draw fewer takes (--takes), from more splits (--from), or several from a speaker (--voices)"
        )
    return list(by_speaker.values())[:takes]


def _pool(words: Words, keywords: Sequence[str], voices: int, seed: int) -> list[str]:
    """Speakers that said every keyword."""
    everybody = sorted(set.intersection(*({clip.speaker for clip in words[word]} for word in keywords)))
    if len(everybody) < voices:
        raise InputError(f"--voices {voices}: only {len(everybody)} speakers said all {len(keywords)} keywords")
    return [everybody[index] for index in _rng(seed, "voices").permutation(len(everybody))[:voices]]


def _in_turn(word: str, clips: Sequence[Clip], pool: Sequence[str], takes: int, seed: int) -> list[Clip]:
    """A take of each speaker, then another of each."""
    rng = _rng(seed, "enroll", word)
    own = [[clip for clip in clips if clip.speaker == speaker] for speaker in pool]
    mixed = [[said[index] for index in rng.permutation(len(said))] for said in own]
    in_turn = [said[turn] for turn in range(max(map(len, mixed))) for said in mixed if turn < len(said)]
    if len(in_turn) < takes:
        raise InputError(
            f"keyword {word!r}: its {len(pool)} voices said it {len(in_turn)} times, not {takes};"
            " draw fewer takes (--takes) or more voices (--voices)"
        )
    return in_turn[:takes]


def _check_words(chosen: Sequence[str], words: Words) -> None:
    for word in chosen:
        if word not in words:
            near = get_close_matches(word, words, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"it has {_some(sorted(words))}"
            raise InputError(f"{word!r}: no clip says it in these splits of the manifest; {cure}")
        if chosen.count(word) > 1:
            raise InputError(f"{word!r} is named twice; name it once")


def _check_speakers(words: Words) -> None:
    for word, clips in words.items():
        # Nobody speaks in _silence_.
        nameless = [] if word.startswith("_") else [clip for clip in clips if not clip.speaker]
        if nameless:
            raise InputError(
                f"{nameless[0].path}: has no speaker in the manifest, nor have {len(nameless) - 1} more clips of"
                f" {word!r}; name the speakers, or let anybody test (--any-speakers)"
            )


def _some(words: Sequence[str], most: int = 8) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
