"""Cut words out of sentences, and choose which cuts make a keyword corpus.

The rules are those of LibriSpeech Keywords (LSK; J. Jung et al., “Metric learning for user-defined keyword spotting”,
ICASSP 2023, arXiv 2211.00439): one second around each word with its real neighbors, a second recognizer that has to
hear the word, no commonest words, no words that encoders are judged on.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from earmark.core.audio import duration_s
from earmark.core.errors import InputError
from earmark.data.alignment.forced import Alignment, Word
from earmark.data.manifest import Clip, Manifest

# Why a word is not cut, in the order in which it is asked.
_REASONS = ("too few letters", "one of the commonest words", "excluded word", "too short", "too long")
_UNFIT = re.compile(r"[^\w'-]")


@dataclass(frozen=True)
class CutRules:
    """Which words are cut, how wide, and which cuts stay.

    Attributes:
        length_s: seconds of a cut, with the word in the middle; 0 for the word alone, `margin_s` wide of it.
        margin_s: seconds before and after the word in the tight manifest.
        shortest_s: shorter words are left out.
        longest_s: longer words are left out; None for `length_s`, or no limit where that is 0.
        letters: words of fewer letters are left out, apostrophes not counted.
        common: this many of the most frequent words are left out.
        exclude: words that are left out.
        error_rate: a cut stays when exactly one word is heard in it whose edit distance to the label is at most this
            many times the label's letters.
        least_clips: words with fewer clips are left out.
        most_clips: clips of one word, drawn by chance where there are more; None for all.
        words: words for training, those with the most clips; None for all.
        val_words: the next words after them, for validation; they train nothing.
        seed: of the draws.
    """

    length_s: float = 1.0
    margin_s: float = 0.02
    shortest_s: float = 0.2
    longest_s: float | None = None
    letters: int = 2
    common: int = 13
    exclude: frozenset[str] = frozenset()
    error_rate: float = 0.2
    least_clips: int = 1
    most_clips: int | None = None
    words: int | None = None
    val_words: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        lowest = {"length_s": 0, "margin_s": 0, "shortest_s": 0, "longest_s": 0, "error_rate": 0, "letters": 1}
        lowest |= {"common": 0, "least_clips": 1, "most_clips": 1, "words": 1, "val_words": 0}
        for name, low in lowest.items():
            value = getattr(self, name)
            # `not >=`, so that NaN is caught.
            if value is not None and not value >= low:
                raise InputError(f"{option_of(name)}: {low} or more, not {value:g}")
        if self.most_clips is not None and self.most_clips < self.least_clips:
            raise InputError(f"--most-clips {self.most_clips}: fewer than --least-clips {self.least_clips}")
        if self.val_words and self.words is None:
            raise InputError(
                "--val-words: say --words too; validation words are the next ones after those for training"
            )
        if self.val_words == 1:
            raise InputError("--val-words 1: pairs of different words need two words at least")

    @property
    def most_s(self) -> float:
        """Longer words are left out."""
        return self.longest_s if self.longest_s is not None else self.length_s or float("inf")


@dataclass(frozen=True, slots=True)
class WordCut:
    """One word of one sentence.

    Attributes:
        name: `WORD_SENTENCE_INDEX`; the same in every run over the same sentences.
        label: the word.
        clip: the sentence, its path absolute.
        word: the word's place in the file.
        start_s: where the cut starts in the file.
        end_s: where it ends.
    """

    name: str
    label: str
    clip: Clip
    word: Word
    start_s: float
    end_s: float


Dropped = Counter[str]
"""Reason to number of cuts."""


def option_of(name: str) -> str:
    """How the command line calls a rule.

    >>> option_of("margin_s"), option_of("val_words")
    ('--margin', '--val-words')
    """
    return "--" + name.removesuffix("_s").replace("_", "-")


def window(start_s: float, end_s: float, *, length_s: float, sentence: tuple[float, float]) -> tuple[float, float]:
    """The stretch of some length around a word, clipped to its sentence.

    >>> window(2.0, 2.4, length_s=1.0, sentence=(0.0, 2.5))
    (1.7, 2.5)
    """
    margin_s = (length_s - (end_s - start_s)) / 2
    first, last = sentence
    return round(max(first, start_s - margin_s), 4), round(min(last, end_s + margin_s), 4)


def plain(word: str) -> str:
    """A word without apostrophes, as it is compared and counted.

    >>> plain("what's")
    'whats'
    """
    return word.replace("'", "")


def character_error_rate(label: str, heard: str) -> float:
    """Edit distance over the label's length, apostrophes left out.

    >>> character_error_rate("mountains", "mountain")
    0.111
    """
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(plain(label), plain(heard)) / max(1, len(plain(label)))


def times_heard(label: str, heard: Sequence[str], error_rate: float) -> int:
    """How many of the words that were heard may be the label.

    >>> times_heard("piece", ["a", "piece", "peace"], 0.2), times_heard("mountains", ["the", "mountain"], 0.2)
    (1, 1)
    """
    return sum(character_error_rate(label, word) <= error_rate for word in heard)


def sentence_ends(manifest: Manifest) -> list[float]:
    """Where each sentence ends in its file, in seconds.

    Raises:
        AudioError: a file is missing or no sound.
    """
    length_s = cache(duration_s)
    return [length_s(manifest.locate(clip)) if clip.end_s is None else clip.end_s for clip in manifest]


def cut_words(
    manifest: Manifest, ends_s: Sequence[float], alignments: Sequence[Alignment], rules: CutRules
) -> tuple[list[WordCut], Dropped]:
    """Every aligned word that the rules allow before anything is counted.

    Args:
        manifest: sentences.
        ends_s: where each of them ends, from `sentence_ends`.
        alignments: of each of them.
        rules: widths, shortest and longest words, letters, exclusions and commonest words.

    Returns:
        Cuts in the sentences' order, and how many words were left out and why.
    """
    counts = Counter(word.text for alignment in alignments for word in alignment.words)
    common = set(most_frequent(counts, rules))
    dropped = Dropped(dict.fromkeys(_REASONS, 0))
    cuts = []
    for clip, end_s, name, alignment in zip(manifest, ends_s, sentence_names(manifest), alignments, strict=True):
        here = replace(clip, path=str(manifest.locate(clip).resolve()), end_s=end_s)
        for index, word in enumerate(alignment.words):
            reason = _unfit(word, common, rules)
            if reason:
                dropped[reason] += 1
                continue
            bounds = (clip.start_s, end_s)
            if rules.length_s:
                start_s, stop_s = window(word.start_s, word.end_s, length_s=rules.length_s, sentence=bounds)
            else:
                start_s, stop_s = tight(word, rules.margin_s, bounds)
            label = " ".join(word.text.split())
            cuts.append(WordCut(f"{file_name(label)}_{name}_{index}", label, here, word, start_s, stop_s))
    return cuts, dropped


def tight(word: Word, margin_s: float, sentence: tuple[float, float]) -> tuple[float, float]:
    """A word with a margin on both sides, clipped to its sentence."""
    first, last = sentence
    return round(max(first, word.start_s - margin_s), 4), round(min(last, word.end_s + margin_s), 4)


def most_frequent(counts: Mapping[str, int], rules: CutRules) -> list[str]:
    """The commonest words among those that have enough letters."""
    allowed = {word: count for word, count in counts.items() if len(plain(word)) >= rules.letters}
    return ranked(allowed)[: rules.common]


def ranked(counts: Mapping[str, int]) -> list[str]:
    """Words by falling count, equal ones by the alphabet."""
    return sorted(counts, key=lambda word: (-counts[word], word))


def said_as_labeled(
    cuts: Sequence[WordCut], heard: Callable[[WordCut], Sequence[str] | None], rules: CutRules
) -> tuple[list[WordCut], Dropped]:
    """The cuts in which the label, or nearly it, is heard exactly once.

    Args:
        cuts: cuts.
        heard: the words that were heard in a cut; None where nobody listened.
        rules: the error rate that is allowed.
    """
    kept, dropped = [], Dropped()
    for cut in cuts:
        words = heard(cut)
        times = times_heard(cut.label, words, rules.error_rate) if words is not None else 0
        if words is None:
            dropped["no hypothesis"] += 1
        elif times == 1:
            kept.append(cut)
        else:
            dropped["heard more than once" if times else "not heard"] += 1
    return kept, dropped


def enough_clips(cuts: Sequence[WordCut], rules: CutRules, reason: str) -> tuple[list[WordCut], Dropped]:
    """The cuts of words that have the least number of clips; the others are dropped for the reason."""
    counts = Counter(cut.label for cut in cuts)
    kept = [cut for cut in cuts if counts[cut.label] >= rules.least_clips]
    return kept, Dropped({reason: len(cuts) - len(kept)})


def choose_words(cuts: Sequence[WordCut], rules: CutRules) -> tuple[list[WordCut], list[WordCut], Dropped]:
    """Cuts of the words for training and of those for validation.

    Raises:
        InputError: fewer words than asked for.
    """
    order = ranked(Counter(cut.label for cut in cuts))
    if rules.words is not None and len(order) < rules.words + rules.val_words:
        raise InputError(
            f"--words {rules.words} and --val-words {rules.val_words}: only {len(order)} words are left; ask for fewer,"
            " or lower --least-clips"
        )
    train = set(order[: rules.words])
    val = set(order[rules.words : rules.words + rules.val_words]) if rules.words is not None else set()
    numbers: dict[str, list[int]] = {}
    for number, cut in enumerate(cuts):
        numbers.setdefault(cut.label, []).append(number)
    chosen: set[int] = set()
    for word in train | val:
        chosen.update(_some(numbers[word], word, rules))
    found: dict[bool, list[WordCut]] = {True: [], False: []}
    dropped: Dropped = Counter()
    for number, cut in enumerate(cuts):
        if number in chosen:
            found[cut.label in train].append(cut)
        else:
            dropped["more clips of the word than wanted" if cut.label in train | val else "word beyond the wanted"] += 1
    return found[True], found[False], dropped


def sentence_names(manifest: Manifest) -> list[str]:
    """A name for every sentence: its file's, with as many folders as make it unlike the others, and its start.

    >>> sentence_names(Manifest((Clip("a/1.wav"), Clip("b/1.wav"), Clip("b/2.wav"), Clip("b/2.wav", start_s=1.5))))
    ['a-1', 'b-1', '2', '2-1500']
    """
    paths = {clip.path: Path(clip.path).with_suffix("").parts for clip in manifest}
    files = {path: 1 for path in paths}
    while True:
        named = {path: "-".join(parts[-files[path] :]) for path, parts in paths.items()}
        count = Counter(named.values())
        alike = [path for path, name in named.items() if count[name] > 1 and files[path] < len(paths[path])]
        if not alike:
            break
        for path in alike:
            files[path] += 1
    return [
        file_name(named[clip.path]) + (f"-{round(1000 * clip.start_s)}" if clip.start_s else "") for clip in manifest
    ]


def file_name(text: str) -> str:
    """A text as part of a file's name."""
    return _UNFIT.sub("_", text)


def _unfit(word: Word, common: set[str], rules: CutRules) -> str:
    """Why a word is not cut; empty when it is."""
    spoken_s = round(word.end_s - word.start_s, 4)
    answers = (
        len(plain(word.text)) < rules.letters,
        word.text in common,
        word.text in rules.exclude or plain(word.text) in rules.exclude,
        spoken_s < rules.shortest_s,
        spoken_s > rules.most_s,
    )
    return next((reason for reason, holds in zip(_REASONS, answers, strict=True) if holds), "")


def _some(numbers: Sequence[int], word: str, rules: CutRules) -> Iterable[int]:
    if rules.most_clips is None or len(numbers) <= rules.most_clips:
        return numbers
    # Of the seed and the word's own name: other words change nothing.
    rng = np.random.default_rng([rules.seed, *word.encode()])
    return rng.choice(numbers, size=rules.most_clips, replace=False).tolist()
