"""Teach a classifier from few labeled vectors, ask it about others, and put its predictions into numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation import metrics
from earmark.evaluation.confusion import Confusion
from earmark.evaluation.embedders import Progress, silent, stacked
from earmark.evaluation.protocols.few_shot import Spread
from earmark.evaluation.protocols.probe.rates import (
    METRICS,
    WordRates,
    count,
    numbers_of,
    precision_and_recall,
    word_rates,
)
from earmark.evaluation.protocols.probe.splits import LabelSplit

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


class Classifier(Protocol):
    """Whatever learns words from few labeled vectors."""

    def __call__(self, train: Floats, train_labels: Ints, test: Floats, *, classes: int, seed: int) -> Floats:
        """Vectors (n, d) with labels (n,) from 0 to classes - 1, and others (m, d), to logits (m, classes)."""


@dataclass(frozen=True)
class Predictions:
    """What the classifier took each test clip of a draw for.

    Attributes:
        split: who taught and who tested.
        taken: shape (m,), number of a word for each test clip.
    """

    split: LabelSplit
    predicted: Ints


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
        numbers: by name, see `rates.METRICS`; fractions.
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


def words_of(splits: Sequence[LabelSplit]) -> tuple[str, ...]:
    """The words that are taught, sorted: the order of all numbers of words."""
    return tuple(sorted({clip.label for split in splits for clip in split.train}))


def predict(
    splits: Sequence[LabelSplit],
    vectors: Mapping[str, Floats],
    classifier: Classifier,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Predictions, ...]:
    """Teach and ask a classifier once for each draw.

    Args:
        splits: of the same words.
        vectors: shape (d,) each, by path.
        classifier: learns from nothing but the labeled clips of a draw.
        seed: of the classifier, with the repetition's number.
        progress: told after each draw.
    """
    words = words_of(splits)
    number = {word: index for index, word in enumerate(words)}
    predictions = []
    for split in splits:
        labels = np.array([number[clip.label] for clip in split.train])
        logits = classifier(
            stacked(split.train, vectors),
            labels,
            stacked(split.test, vectors),
            classes=len(words),
            seed=int(np.random.default_rng([seed, split.repetition]).integers(2**31)),
        )
        predictions.append(Predictions(split, np.asarray(logits).argmax(axis=1)))
        progress(len(predictions), len(splits))
    return tuple(predictions)


def compute_metrics(
    predictions: Sequence[Predictions],
    *,
    speakers: Mapping[str, str] | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[ProbeResult, ...]:
    """Every number of the predictions, for each number of labels.

    Args:
        predictions: from `answer`.
        speakers: speaker by path; with `rng`, gives the intervals. A path without one stands for itself.
        rng: splits test speakers for the intervals; None leaves the intervals out.
    """
    words = words_of([one.split for one in predictions])
    kinds = dict.fromkeys(one.split.labels for one in predictions)
    return tuple(
        _measure([one for one in predictions if one.split.labels == labels], words, speakers, rng) for labels in kinds
    )


def rates_of(predictions: Sequence[Predictions], labels: int | None) -> WordRates:
    """Precision and recall of each word in each repetition with so many labels."""
    words = words_of([one.split for one in predictions])
    own = [one for one in predictions if one.split.labels == labels]
    return word_rates(words, [count(_said(one, words), one.predicted, len(words)) for one in own])


def _said(one: Predictions, words: Sequence[str]) -> Ints:
    number = {word: index for index, word in enumerate(words)}
    return np.array([number[clip.label] for clip in one.split.test])


def _measure(
    predictions: Sequence[Predictions],
    words: Sequence[str],
    speakers: Mapping[str, str] | None,
    rng: np.random.Generator | None,
) -> ProbeResult:
    size = len(words)
    said = [_said(one, words) for one in predictions]
    paths = sorted({clip.path for one in predictions for clip in one.split.test})
    place = {path: row for row, path in enumerate(paths)}
    rows = [np.array([place[clip.path] for clip in one.split.test]) for one in predictions]

    def numbers(weights: Floats) -> Floats:
        """Shape (repetitions, numbers + 2 · words): all numbers, the precisions, the recalls."""
        tables = [
            count(of, one.predicted, size, weights[own]) for of, one, own in zip(said, predictions, rows, strict=True)
        ]
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
    table = sum(count(of, one.predicted, size) for of, one in zip(said, predictions, strict=True))
    clips = np.asarray(table).sum(axis=1) / len(predictions)
    first, second = len(METRICS), len(METRICS) + size
    return ProbeResult(
        predictions[0].split.labels,
        len(predictions),
        float(np.mean([len(one.split.train) for one in predictions])),
        float(np.mean([len(one.split.test) for one in predictions])),
        dict(zip(METRICS, spreads, strict=False)),
        {
            word: WordResult(spreads[first + number], spreads[second + number], float(clips[number]))
            for number, word in enumerate(words)
        },
        Confusion(tuple(words), tuple(words), tuple(tuple(row) for row in np.asarray(table).astype(int).tolist())),
    )
