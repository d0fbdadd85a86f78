"""Cut words out of sentences, and choose the cuts of a keyword corpus.

The rules are those of LibriSpeech Keywords (J. Jung et al., “Metric learning for user-defined keyword spotting”, ICASSP
2023, arXiv 2211.00439). A cut is one second around a word, with parts of the words before and after. A recognizer
confirms each cut. The most frequent words are dropped, and so are the words that evaluations enroll.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from earmark.core.audio import duration_s
from earmark.core.config import Seconds, Settings
from earmark.core.errors import InputError, needs
from earmark.data.alignment.forced import Alignment, Word
from earmark.data.manifest import Clip, Manifest

# Reasons to drop a word, in the order of the checks.
_REASONS = ("too few letters", "one of the most frequent words", "excluded word", "too short", "too long")
_UNFIT = re.compile(r"[^\w'-]")


class CutRules(Settings):
    """Rules of a keyword corpus: which words are cut, how long the cuts are, and which cuts are kept."""

    length_s: Seconds = Field(1.0, description="Length of a cut, with the word in its center; 0: the word alone.")
    margin_s: Seconds = Field(0.02, description="Audio kept on each side of a word that is cut alone.")
    min_word_s: Seconds = Field(0.2, description="Drop words that are shorter.")
    max_word_s: float | None = Field(
        None, ge=0, description="Drop words that are longer; if not given, words longer than a cut."
    )
    min_letters: int = Field(2, ge=1, description="Drop words with fewer letters, apostrophes not counted.")
    skip_common: int = Field(13, ge=0, description="Number of most frequent words to drop.")
    exclude: frozenset[str] = Field(frozenset(), description="Words to drop.")
    error_rate: float = Field(
        0.2,
        ge=0,
        description="Allowed edit distance between the word and a recognized word, divided by the word's letters.",
    )
    min_clips: int = Field(1, ge=1, description="Drop words with fewer clips.")
    max_clips: int | None = Field(
        None, ge=1, description="Maximum number of clips of a word; of more, this many are drawn. All if not given."
    )
    words: int | None = Field(
        None, ge=1, description="Number of training words, which are those with the most clips; all if not given."
    )
    val_words: int = Field(
        0, ge=0, description="Number of validation words, which follow the training words in number of clips."
    )
    seed: int = Field(0, description="Seed of the draws.")

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if self.max_clips is not None and self.max_clips < self.min_clips:
            raise InputError(
                f"{self.max_clips} is less than min_clips, {self.min_clips}; raise max_clips",
                key="max_clips",
            )
        if self.val_words and self.words is None:
            raise InputError(
                "without a number of training words, all words are for training; set words too",
                key="val_words",
            )
        if self.val_words == 1:
            raise InputError(
                "1 validation word is too few for pairs of different words; use 2 or more",
                key="val_words",
            )
        return self

    @property
    def longest_s(self) -> float:
        """Longest duration of a word, in seconds; longer words are dropped."""
        return self.max_word_s if self.max_word_s is not None else self.length_s or float("inf")


@dataclass(frozen=True, slots=True)
class WordCut:
    """A word cut out of a sentence.

    Attributes:
        name: `WORD_SENTENCE_INDEX`; equal in all runs on the same sentences.
        label: the word.
        clip: the sentence, with an absolute path.
        word: start and end of the word in the file.
        start_s: start of the cut in the file.
        end_s: end of the cut in the file.
    """

    name: str
    label: str
    clip: Clip
    word: Word
    start_s: float
    end_s: float


Dropped = Counter[str]
"""Number of dropped cuts by reason."""


def window(start_s: float, end_s: float, *, length_s: float, sentence: tuple[float, float]) -> tuple[float, float]:
    """Start and end of a window of length `length_s` centered on a word, cut at the ends of the sentence.

    >>> window(2.0, 2.4, length_s=1.0, sentence=(0.0, 2.5))
    (1.7, 2.5)
    """
    margin_s = (length_s - (end_s - start_s)) / 2
    first, last = sentence
    return round(max(first, start_s - margin_s), 4), round(min(last, end_s + margin_s), 4)


def plain(word: str) -> str:
    """Remove apostrophes from a word, to compare words and count letters.

    >>> plain("what's")
    'whats'
    """
    return word.replace("'", "")


def character_error_rate(label: str, recognized: str) -> float:
    """Edit distance between both words divided by the length of the label, without apostrophes.

    >>> character_error_rate("mountains", "mountain")
    0.111
    """
    with needs("train"):
        from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(plain(label), plain(recognized)) / max(1, len(plain(label)))


def count_matches(label: str, recognized: Sequence[str], error_rate: float) -> int:
    """Number of recognized words that match the label.

    >>> count_matches("piece", ["a", "piece", "peace"], 0.2), count_matches("mountains", ["the", "mountain"], 0.2)
    (1, 1)
    """
    return sum(character_error_rate(label, word) <= error_rate for word in recognized)


def sentence_ends(manifest: Manifest) -> list[float]:
    """End of each sentence in its file, in seconds.

    Raises:
        AudioError: a file is missing or not audio.
    """
    length_s = cache(duration_s)
    return [length_s(manifest.locate(clip)) if clip.end_s is None else clip.end_s for clip in manifest]


def cut_words(
    manifest: Manifest, ends_s: Sequence[float], alignments: Sequence[Alignment], rules: CutRules
) -> tuple[list[WordCut], Dropped]:
    """Cut every aligned word that the rules on single words allow.

    Args:
        manifest: sentences.
        ends_s: end of each sentence, from `sentence_ends`.
        alignments: alignment of each sentence.
        rules: allowed lengths and letters, excluded words, number of most frequent words to drop.

    Returns:
        Cuts in the order of the sentences, and the number of dropped words by reason.
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
    """Start and end of a word with a margin on both sides, cut at the ends of the sentence."""
    first, last = sentence
    return round(max(first, word.start_s - margin_s), 4), round(min(last, word.end_s + margin_s), 4)


def most_frequent(counts: Mapping[str, int], rules: CutRules) -> list[str]:
    """The most frequent words that have enough letters; `rules.skip_common` is their number."""
    allowed = {word: count for word, count in counts.items() if len(plain(word)) >= rules.min_letters}
    return ranked(allowed)[: rules.skip_common]


def ranked(counts: Mapping[str, int]) -> list[str]:
    """Sort words by falling count, then alphabetically."""
    return sorted(counts, key=lambda word: (-counts[word], word))


def confirm_cuts(
    cuts: Sequence[WordCut], recognized: Callable[[WordCut], Sequence[str] | None], rules: CutRules
) -> tuple[list[WordCut], Dropped]:
    """Keep the cuts in which exactly one recognized word matches the label.

    Args:
        cuts: all cuts.
        recognized: returns the recognized words of a cut, or None if the cut was not recognized.
        rules: allowed error rate.

    Returns:
        The kept cuts, and the number of dropped cuts by reason.
    """
    kept, dropped = [], Dropped()
    for cut in cuts:
        words = recognized(cut)
        matches = count_matches(cut.label, words, rules.error_rate) if words is not None else 0
        if words is None:
            dropped["no hypothesis"] += 1
        elif matches == 1:
            kept.append(cut)
        else:
            dropped["recognized more than once" if matches else "not recognized"] += 1
    return kept, dropped


def enough_clips(cuts: Sequence[WordCut], rules: CutRules, reason: str) -> tuple[list[WordCut], Dropped]:
    """Keep the cuts of words with enough clips; return them, and the number of dropped cuts for `reason`."""
    counts = Counter(cut.label for cut in cuts)
    kept = [cut for cut in cuts if counts[cut.label] >= rules.min_clips]
    return kept, Dropped({reason: len(cuts) - len(kept)})


def choose_words(cuts: Sequence[WordCut], rules: CutRules) -> tuple[list[WordCut], list[WordCut], Dropped]:
    """Choose the words for training and for validation.

    Returns:
        Cuts for training, cuts for validation, and the number of dropped cuts by reason.

    Raises:
        InputError: there are fewer words than requested.
    """
    order = ranked(Counter(cut.label for cut in cuts))
    if rules.words is not None and len(order) < rules.words + rules.val_words:
        raise InputError(
            f"{rules.words} requested for training and {rules.val_words} for validation, but only {len(order)} words"
            " are left; request fewer words, or lower min_clips",
            key="words",
        )
    train = set(order[: rules.words])
    val = set(order[rules.words : rules.words + rules.val_words]) if rules.words is not None else set()
    numbers: dict[str, list[int]] = {}
    for number, cut in enumerate(cuts):
        numbers.setdefault(cut.label, []).append(number)
    chosen: set[int] = set()
    for word in train | val:
        chosen.update(_drawn(numbers[word], word, rules))
    found: dict[bool, list[WordCut]] = {True: [], False: []}
    dropped: Dropped = Counter()
    for number, cut in enumerate(cuts):
        if number in chosen:
            found[cut.label in train].append(cut)
        else:
            dropped[
                "more clips of the word than requested" if cut.label in train | val else "word not among the requested"
            ] += 1
    return found[True], found[False], dropped


def sentence_names(manifest: Manifest) -> list[str]:
    """Name each sentence by its file and its start in milliseconds; folders are added until names are unique.

    >>> sentence_names(Manifest((Clip("a/1.wav"), Clip("b/1.wav"), Clip("b/2.wav"), Clip("b/2.wav", start_s=1.5))))
    ['a-1', 'b-1', '2', '2-1500']
    """
    paths = {clip.path: Path(clip.path).with_suffix("").parts for clip in manifest}
    files = {path: 1 for path in paths}
    while True:
        named = {path: "-".join(parts[-files[path] :]) for path, parts in paths.items()}
        count = Counter(named.values())
        clashing = [path for path, name in named.items() if count[name] > 1 and files[path] < len(paths[path])]
        if not clashing:
            break
        for path in clashing:
            files[path] += 1
    return [
        file_name(named[clip.path]) + (f"-{round(1000 * clip.start_s)}" if clip.start_s else "") for clip in manifest
    ]


def file_name(text: str) -> str:
    """Replace characters that do not fit in a file name by `_`."""
    return _UNFIT.sub("_", text)


def _unfit(word: Word, common: set[str], rules: CutRules) -> str:
    """The reason to drop a word; empty if there is none."""
    spoken_s = round(word.end_s - word.start_s, 4)
    checks = (
        len(plain(word.text)) < rules.min_letters,
        word.text in common,
        word.text in rules.exclude or plain(word.text) in rules.exclude,
        spoken_s < rules.min_word_s,
        spoken_s > rules.longest_s,
    )
    return next((reason for reason, holds in zip(_REASONS, checks, strict=True) if holds), "")


def _drawn(numbers: Sequence[int], word: str, rules: CutRules) -> Iterable[int]:
    if rules.max_clips is None or len(numbers) <= rules.max_clips:
        return numbers
    # The seed includes the word, so that other words do not change the draw.
    rng = np.random.default_rng([rules.seed, *word.encode()])
    return rng.choice(numbers, size=rules.max_clips, replace=False).tolist()
