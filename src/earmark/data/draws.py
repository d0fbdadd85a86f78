"""Draw random clips for enrollment, testing and training, and random pairs of clips, from a seed.

The draw of a word depends only on the seed and the word, so that other words do not change it. The first takes stay the
same when more takes are drawn.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from pydantic import Field

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.data.manifest import Clip, Manifest

ClipsByWord = Mapping[str, Sequence[Clip]]
"""Clips by word, as lists write words."""


class FewShotSettings(Settings):
    """Settings of the draw of clips for enrollment and testing."""

    voices: int | None = Field(
        None,
        ge=1,
        description="Number of speakers who enroll all keywords, with several takes each; all other speakers test. If "
        "not given, speakers are drawn for each keyword, with one take each.",
    )
    new_speakers: bool = Field(True, description="Test only on speakers who enrolled nothing.")
    test_per_keyword: int | None = Field(
        None, ge=1, description="Maximum number of test clips of a keyword; all if not given."
    )
    test_per_impostor: int | None = Field(
        None, ge=1, description="Maximum number of test clips of each other word; all if not given."
    )


class TrainingListSettings(Settings):
    """Settings of the training list that is drawn in addition to the lists of an evaluation."""

    train_words: str | None = Field(
        None, description="Words of train.txt, separated by commas; the list is not written if not given."
    )
    train_per_word: int | None = Field(
        None,
        ge=1,
        description="Number of lines of each training word; fewer clips are repeated. Each clip once if not given.",
    )
    train_from: str = Field("train", description="Splits to train from, separated by commas.")


class OpenSetSettings(Settings):
    """Sizes of the lists of an open-set evaluation, and the seed of their draw."""

    seed: int = Field(0, description="Seed of all draws.")
    train_per_word: int | None = Field(
        None,
        ge=1,
        description="Number of lines of each training word; fewer clips are repeated. Each clip once if not given.",
    )
    test_per_target: int | None = Field(
        None, ge=1, description="Maximum number of test clips of a target; all if not given."
    )
    test_per_unknown: int | None = Field(
        None, ge=1, description="Maximum number of test clips of each other word; all if not given."
    )


class PairSizes(Settings):
    """Numbers of clip pairs to draw, and the seed; the default numbers are those of LibriSpeech Keywords."""

    anchors: int = Field(10, ge=1, description="Number of anchors per word: clips that are compared with other clips.")
    positives: int = Field(270, ge=1, description="Number of clips of the same word per anchor.")
    negatives: int = Field(30, ge=1, description="Number of clips of each other word per anchor.")
    seed: int = Field(0, description="Seed of the draw.")


@dataclass(frozen=True)
class FewShotDraw:
    """Drawn clips of a few-shot evaluation: clips to enroll keywords from, and test clips."""

    enrollment: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclass(frozen=True)
class OpenSetDraw:
    """Clips of an open-set evaluation.

    Attributes:
        train: training clips of the targets and of the words in `seen`.
        val: clips of the same words to choose thresholds on; may be empty.
        test: test clips of the targets and of the words in `seen` and `unseen`.
        seen: unknown words with training clips.
        unseen: unknown words with test clips only.
    """

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]


def clips_by_word(manifest: Manifest, splits: Collection[str]) -> dict[str, tuple[Clip, ...]]:
    """Group the labeled clips of some splits by word; clips are sorted by path, and each file is kept once.

    Raises:
        InputError: there are no labeled clips in these splits.
    """
    found: dict[str, dict[str, Clip]] = {}
    for clip in sorted(manifest.only(*splits), key=lambda clip: clip.path):
        if clip.label:
            found.setdefault(listed_label(clip.label), {}).setdefault(clip.path, clip)
    if not found:
        there = sorted({clip.split or "(none)" for clip in manifest if clip.label})
        cure = f"choose among {', '.join(there)}" if there else "add labels"
        raise InputError(f"{manifest.folder}: the manifest has no labeled clips in split {', '.join(splits)}; {cure}")
    return {word: tuple(found[word].values()) for word in sorted(found)}


def draw_few_shot(
    words: ClipsByWord,
    keywords: Sequence[str],
    takes: int,
    settings: FewShotSettings | None = None,
    *,
    seed: int,
    impostors: Sequence[str] | None = None,
) -> FewShotDraw:
    """Draw clips to enroll each keyword from, and test clips of the keywords and of other words.

    Args:
        words: clips to draw from.
        keywords: words to enroll.
        takes: number of enrollment clips of a keyword.
        settings: speakers, and limits on test clips.
        seed: seed of the draw.
        impostors: words to test beside the keywords; None for all other words.

    Raises:
        InputError: a word has no clip, there are too few speakers or clips, or a keyword has no test clip.
    """
    settings = settings or FewShotSettings()
    _check_words(keywords, words)
    others = [word for word in words if word not in keywords] if impostors is None else list(impostors)
    _check_words(others, words)
    for word in others:
        if word in keywords:
            raise InputError(
                f"{word!r} is a keyword too; remove the word from the impostors or the keywords",
                key="impostors",
            )
    if settings.new_speakers or settings.voices is not None:
        _check_speakers({word: words[word] for word in (*keywords, *others)})
    if settings.voices is None:
        enrollment = [clip for word in keywords for clip in _of_different_speakers(word, words[word], takes, seed)]
        enrolled = {clip.speaker for clip in enrollment}
    else:
        pool = _pool(words, keywords, settings.voices, seed)
        enrollment = [clip for word in keywords for clip in _in_turn(word, words[word], pool, takes, seed)]
        enrolled = set(pool)
    known = enrolled - {""} if settings.new_speakers else set()
    enrolls = {clip.path for clip in enrollment}
    test: list[Clip] = []
    for word in sorted({*keywords, *others}):
        left = [clip for clip in words[word] if clip.path not in enrolls and clip.speaker not in known]
        if not left and word in keywords:
            raise InputError(
                f"{takes} takes of keyword {word!r} need all of its speakers, and none is left for the test; draw fewer"
                " takes, let the same few speakers enroll all keywords, or allow enrolled speakers in the test",
                key="takes",
            )
        limit = settings.test_per_keyword if word in keywords else settings.test_per_impostor
        test += _pick(left, limit, _rng(seed, "test", word))
    return FewShotDraw(tuple(enrollment), tuple(test))


def draw_training(
    words: ClipsByWord, chosen: Sequence[str], *, seed: int, per_word: int | None = None, without: Collection[str] = ()
) -> tuple[Clip, ...]:
    """Draw clips for training; a word with too few clips repeats them in turn, as in LibriSpeech Keywords.

    Args:
        words: clips to draw from.
        chosen: words to train on.
        seed: seed of the draw.
        per_word: exact number of lines per word; None for every clip once.
        without: paths of clips to leave out, because they are for enrollment or testing.

    Raises:
        InputError: a word has no clip, or none is left for training.
    """
    _check_words(chosen, words)
    lines: list[Clip] = []
    for word in chosen:
        left = [clip for clip in words[word] if clip.path not in without]
        if not left:
            raise InputError(
                f"word {word!r}: all clips are for enrollment or testing, and none is left for training; draw training"
                " clips from another split, or limit the number of test clips",
                key="train_from",
            )
        drawn = _pick(left, per_word, _rng(seed, "train", word))
        lines += [drawn[number % len(drawn)] for number in range(per_word or len(drawn))]
    return tuple(lines)


def draw_open_set(
    train: ClipsByWord,
    test: ClipsByWord,
    targets: Sequence[str],
    settings: OpenSetSettings | None = None,
    *,
    val: ClipsByWord | None = None,
    seen: Sequence[str] | None = None,
) -> OpenSetDraw:
    """Draw lists of known targets and an open set of unknown words, as in Huh et al. (arXiv:2005.08776).

    No file is in two lists.

    Args:
        train: clips to draw training clips from.
        test: clips to draw test clips from.
        targets: words to recognize; every other word is unknown.
        settings: sizes and seed.
        val: clips to choose thresholds on; only clips of targets and seen words are used.
        seen: unknown words to train on; None draws half of the unknown words, rounded down.

    Raises:
        InputError: a word has no clip, or none is left for training.
    """
    settings = settings or OpenSetSettings()
    seed = settings.seed
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
            raise InputError(
                f"{word!r} is a target too; remove the word from the seen words or the targets",
                key="seen",
            )
    limits = {True: settings.test_per_target, False: settings.test_per_unknown}
    tests = [
        clip
        for word in sorted({*targets, *unknown})
        for clip in _pick(test[word], limits[word in targets], _rng(seed, "test", word))
    ]
    tested = {clip.path for clip in tests}
    vals = [clip for word in (*targets, *seen) for clip in (val or {}).get(word, ()) if clip.path not in tested]
    used = tested | {clip.path for clip in vals}
    trains = draw_training(train, [*targets, *seen], seed=seed, per_word=settings.train_per_word, without=used)
    unseen = tuple(word for word in unknown if word not in seen)
    return OpenSetDraw(trains, tuple(vals), tuple(tests), tuple(seen), unseen)


def draw_word_pairs(
    words: ClipsByWord, chosen: Sequence[str], sizes: PairSizes | None = None
) -> Iterator[tuple[bool, Clip, Clip]]:
    """Draw pairs of clips of the same word, and of different words.

    Args:
        words: clips to draw from.
        chosen: words to compare.
        sizes: numbers of pairs, and seed.

    Yields:
        Whether both words are the same, the anchor, and the clip that is compared with the anchor.

    Raises:
        InputError: a word has too few clips.
    """
    sizes = sizes or PairSizes()
    _check_words(chosen, words)
    least = max(sizes.anchors, sizes.positives + 1, sizes.negatives)
    for word in chosen:
        if len(words[word]) < least:
            raise InputError(
                f"word {word!r} has {len(words[word])} clips, but {sizes.anchors} anchors, {sizes.positives} positives"
                f" and {sizes.negatives} negatives need {least}; request fewer of them, or leave the word out"
            )
    for word in chosen:
        rng = _rng(sizes.seed, "pairs", word)
        for number in rng.choice(len(words[word]), size=sizes.anchors, replace=False):
            anchor = words[word][number]
            same = [clip for clip in words[word] if clip is not anchor]
            yield from ((True, anchor, clip) for clip in _pick(same, sizes.positives, rng))
            for other in chosen:
                if other != word:
                    yield from ((False, anchor, clip) for clip in _pick(words[other], sizes.negatives, rng))


def _rng(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, *" ".join(names).encode()])


def _pick(clips: Sequence[Clip], count: int | None, rng: np.random.Generator) -> list[Clip]:
    """Draw `count` clips without changing their order; return all clips if `count` is None or at least their number."""
    if count is None or count >= len(clips):
        return list(clips)
    return [clips[index] for index in sorted(rng.choice(len(clips), size=count, replace=False))]


def _of_different_speakers(word: str, clips: Sequence[Clip], takes: int, seed: int) -> list[Clip]:
    """Draw as many clips of the word as `takes`, each by another speaker."""
    by_speaker: dict[str, Clip] = {}
    for index in _rng(seed, "enroll", word).permutation(len(clips)):
        # Each clip of an unknown speaker counts as a speaker of its own.
        by_speaker.setdefault(clips[index].speaker or clips[index].path, clips[index])
    if len(by_speaker) < takes:
        raise InputError(
            f"keyword {word!r} has {len(by_speaker)} speakers, but {takes} takes by different speakers"
            f" need {takes}; draw fewer takes, add splits, or draw several takes of each of a few speakers",
            key="takes",
        )
    return list(by_speaker.values())[:takes]


def _pool(words: ClipsByWord, keywords: Sequence[str], voices: int, seed: int) -> list[str]:
    """Draw as many speakers as `voices` who have clips of every keyword."""
    candidates = sorted(set.intersection(*({clip.speaker for clip in words[word]} for word in keywords)))
    if len(candidates) < voices:
        raise InputError(
            f"{voices} speakers requested, but only {len(candidates)} speakers have clips of all {len(keywords)}"
            " keywords; request fewer speakers",
            key="voices",
        )
    return [candidates[index] for index in _rng(seed, "voices").permutation(len(candidates))[:voices]]


def _in_turn(word: str, clips: Sequence[Clip], pool: Sequence[str], takes: int, seed: int) -> list[Clip]:
    """Draw clips of a keyword by the speakers in `pool` in turn: one clip of each, then another of each, and so on."""
    rng = _rng(seed, "enroll", word)
    own = [[clip for clip in clips if clip.speaker == speaker] for speaker in pool]
    mixed = [[clips[index] for index in rng.permutation(len(clips))] for clips in own]
    in_turn = [clips[turn] for turn in range(max(map(len, mixed))) for clips in mixed if turn < len(clips)]
    if len(in_turn) < takes:
        raise InputError(
            f"the {len(pool)} speakers (voices) have only {len(in_turn)} clips of keyword {word!r}, not {takes}; draw"
            " fewer takes, or more speakers",
            key="takes",
        )
    return in_turn[:takes]


def _check_words(chosen: Sequence[str], words: ClipsByWord) -> None:
    for word in chosen:
        if word not in words:
            near = get_close_matches(word, words, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"choose among {_some(sorted(words))}"
            raise InputError(f"{word!r}: no clip in the chosen splits of the manifest has this label; {cure}")
        if chosen.count(word) > 1:
            raise InputError(f"{word!r} is in the list of words twice; remove one of them")


def _check_speakers(words: ClipsByWord) -> None:
    for word, clips in words.items():
        # Labels such as _silence_ have no speaker.
        unknown = [] if word.startswith("_") else [clip for clip in clips if not clip.speaker]
        if unknown:
            raise InputError(
                f"{unknown[0].path} and {len(unknown) - 1} more clips of {word!r} have no speaker in the manifest; add"
                " the speakers, or allow enrolled speakers in the test",
                key="new_speakers",
            )


def _some(words: Sequence[str], most: int = 8) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
