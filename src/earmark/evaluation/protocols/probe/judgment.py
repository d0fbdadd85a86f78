"""Teach a classifier from few labeled vectors, ask it about others, and put its answers into numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation import metrics
from earmark.evaluation.confusion import Confusion
from earmark.evaluation.embedders import Progress, silent, stacked
from earmark.evaluation.protocols.few_shot import Spread
from earmark.evaluation.protocols.probe.draws import Draw
from earmark.evaluation.protocols.probe.rates import (
    NUMBERS,
    WordRates,
    count,
    numbers_of,
    precision_and_recall,
    word_rates,
)

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


class Classifier(Protocol):
    """Whatever learns words from few labeled vectors."""

    def __call__(self, train: Floats, train_labels: Ints, test: Floats, *, classes: int, seed: int) -> Floats:
        """Vectors (n, d) with labels (n,) from 0 to classes - 1, and others (m, d), to logits (m, classes)."""


@dataclass(frozen=True)
class Answers:
    """What the classifier took each test clip of a draw for.

    Attributes:
        draw: who taught and who tested.
        taken: shape (m,), number of a word for each test clip.
    """

    draw: Draw
    taken: Ints


@dataclass(frozen=True)
class WordResult:
    """Precision and recall of one word, and the test clips that say it, mean over the repetitions."""

    precision: Spread
    recall: Spread
    clips: float


@dataclass(frozen=True)
class ProbeResult:
    """What one number of labels gave; spreads are over its repetitions.

    Attributes:
        labels: labeled clips of each word; None for all there were.
        repetitions: how many.
        labeled: clips that taught, mean over the repetitions.
        tested: clips that were told apart, likewise.
        numbers: by name, see `rates.NUMBERS`; fractions.
        words: by word.
        confusion: of all repetitions together.
    """

    labels: int | None
    repetitions: int
    labeled: float
    tested: float
    numbers: dict[str, Spread]
    words: dict[str, WordResult]
    confusion: Confusion

    @property
    def name(self) -> str:
        """Such as `5 labels a word`."""
        return labels_text(self.labels)


def labels_text(labels: int | None) -> str:
    """How a number of labels is written.

    >>> labels_text(5), labels_text(1), labels_text(None)
    ('5 labels a word', '1 label a word', 'all labels')
    """
    return "all labels" if labels is None else f"{labels} label{'' if labels == 1 else 's'} a word"


def words_of(draws: Sequence[Draw]) -> tuple[str, ...]:
    """The words that are taught, sorted: the order of all numbers of words."""
    return tuple(sorted({clip.label for draw in draws for clip in draw.train}))


def answer(
    draws: Sequence[Draw],
    vectors: Mapping[str, Floats],
    classifier: Classifier,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Answers, ...]:
    """Teach and ask a classifier once for each draw.

    Args:
        draws: of the same words.
        vectors: shape (d,) each, by path.
        classifier: learns from nothing but the labeled clips of a draw.
        seed: of the classifier, with the repetition's number.
        progress: told after each draw.
    """
    words = words_of(draws)
    number = {word: index for index, word in enumerate(words)}
    answers = []
    for draw in draws:
        labels = np.array([number[clip.label] for clip in draw.train])
        logits = classifier(
            stacked(draw.train, vectors),
            labels,
            stacked(draw.test, vectors),
            classes=len(words),
            seed=int(np.random.default_rng([seed, draw.repetition]).integers(2**31)),
        )
        answers.append(Answers(draw, np.asarray(logits).argmax(axis=1)))
        progress(len(answers), len(draws))
    return tuple(answers)


def measure(
    answers: Sequence[Answers], *, speakers: Mapping[str, str] | None = None, rng: np.random.Generator | None = None
) -> tuple[ProbeResult, ...]:
    """Every number of the answers, for each number of labels.

    Args:
        answers: from `answer`.
        speakers: speaker by path; with `rng`, gives the intervals. A path without one stands for itself.
        rng: draws test speakers for the intervals; None leaves the intervals out.
    """
    words = words_of([one.draw for one in answers])
    kinds = dict.fromkeys(one.draw.labels for one in answers)
    return tuple(
        _measure([one for one in answers if one.draw.labels == labels], words, speakers, rng) for labels in kinds
    )


def rates_of(answers: Sequence[Answers], labels: int | None) -> WordRates:
    """Precision and recall of each word in each repetition with so many labels."""
    words = words_of([one.draw for one in answers])
    own = [one for one in answers if one.draw.labels == labels]
    return word_rates(words, [count(_said(one, words), one.taken, len(words)) for one in own])


def _said(one: Answers, words: Sequence[str]) -> Ints:
    number = {word: index for index, word in enumerate(words)}
    return np.array([number[clip.label] for clip in one.draw.test])


def _measure(
    answers: Sequence[Answers],
    words: Sequence[str],
    speakers: Mapping[str, str] | None,
    rng: np.random.Generator | None,
) -> ProbeResult:
    size = len(words)
    said = [_said(one, words) for one in answers]
    paths = sorted({clip.path for one in answers for clip in one.draw.test})
    place = {path: row for row, path in enumerate(paths)}
    rows = [np.array([place[clip.path] for clip in one.draw.test]) for one in answers]

    def numbers(weights: Floats) -> Floats:
        """Shape (repetitions, numbers + 2 · words): all numbers, the precisions, the recalls."""
        tables = [count(of, one.taken, size, weights[own]) for of, one, own in zip(said, answers, rows, strict=True)]
        return np.stack(
            [[*numbers_of(table).values(), *np.concatenate(precision_and_recall(table))] for table in tables]
        )

    values = numbers(np.ones(len(paths)))
    low = high = np.full(values.shape[1], np.nan)
    if speakers and rng is not None:
        low, high = metrics.interval_over_speakers(
            lambda weights: numbers(weights).mean(axis=0), [speakers.get(path, "") for path in paths], rng
        )
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
    spreads = [Spread(*row) for row in np.stack([values.mean(axis=0), sd, low, high], axis=1).tolist()]
    table = sum(count(of, one.taken, size) for of, one in zip(said, answers, strict=True))
    clips = np.asarray(table).sum(axis=1) / len(answers)
    first, second = len(NUMBERS), len(NUMBERS) + size
    return ProbeResult(
        answers[0].draw.labels,
        len(answers),
        float(np.mean([len(one.draw.train) for one in answers])),
        float(np.mean([len(one.draw.test) for one in answers])),
        dict(zip(NUMBERS, spreads, strict=False)),
        {
            word: WordResult(spreads[first + number], spreads[second + number], float(clips[number]))
            for number, word in enumerate(words)
        },
        Confusion(tuple(words), tuple(words), tuple(tuple(row) for row in np.asarray(table).astype(int).tolist())),
    )
