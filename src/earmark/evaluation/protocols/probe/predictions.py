"""Train a classifier on few labeled embeddings, classify test clips, and compute metrics of the predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.core.progress import Progress, follow, no_progress
from earmark.evaluation import metrics
from earmark.evaluation.confusion import Confusion
from earmark.evaluation.embedders import stacked
from earmark.evaluation.estimates import Spread, spreads
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
    """Trains on labeled embeddings and classifies other embeddings."""

    def __call__(self, train: Floats, train_labels: Ints, test: Floats, *, classes: int, seed: int) -> Floats:
        """Train on rows (n, d) with labels (n,) from 0 to classes - 1; return logits (m, classes) of rows (m, d)."""


@dataclass(frozen=True)
class Predictions:
    """Predicted words of the test clips of one split.

    Attributes:
        split: training and test clips.
        predicted: index of the predicted word of each test clip, shape (m,).
    """

    split: LabelSplit
    predicted: Ints


@dataclass(frozen=True)
class WordResult:
    """Precision and recall of one word, and its number of test clips, mean over the repetitions."""

    precision: Spread
    recall: Spread
    clips: float


@dataclass(frozen=True)
class ProbeResult:
    """Metrics for one number of labels, with their spread over the repetitions.

    Attributes:
        labels: labeled clips of each word; None for all.
        repetitions: number of repetitions.
        labeled: number of training clips, mean over the repetitions.
        tested: number of test clips, mean over the repetitions.
        numbers: fractions by the keys of `rates.METRICS`.
        words: results by word.
        confusion: confusion matrix, summed over the repetitions.
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
        """Number of labeled clips of each word as text, such as `5 labels a word`."""
        return labels_text(self.labels)


def labels_text(labels: int | None) -> str:
    """Format the number of labeled clips of each word.

    >>> labels_text(5), labels_text(1), labels_text(None)
    ('5 labels a word', '1 label a word', 'all labels')
    """
    return "all labels" if labels is None else f"{labels} label{'' if labels == 1 else 's'} a word"


def words_of(splits: Sequence[LabelSplit]) -> tuple[str, ...]:
    """The words of the training clips, sorted; classes are in this order."""
    return tuple(sorted({clip.label for split in splits for clip in split.train}))


def predict(
    splits: Sequence[LabelSplit],
    vectors: Mapping[str, Floats],
    classifier: Classifier,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> tuple[Predictions, ...]:
    """Train a classifier on each split and predict its test clips.

    Args:
        splits: splits with the same words.
        vectors: embeddings, shape (d,), by path.
        classifier: trained from scratch for each split.
        seed: seed of the classifier, combined with the number of the repetition.
        progress: called after each split.
    """
    words = words_of(splits)
    number = {word: index for index, word in enumerate(words)}
    predictions = []
    for split in follow(splits, "training classifiers", progress):
        labels = np.array([number[clip.label] for clip in split.train])
        logits = classifier(
            stacked(split.train, vectors),
            labels,
            stacked(split.test, vectors),
            classes=len(words),
            seed=int(np.random.default_rng([seed, split.repetition]).integers(2**31)),
        )
        predictions.append(Predictions(split, np.asarray(logits).argmax(axis=1)))
    return tuple(predictions)


def compute_metrics(
    predictions: Sequence[Predictions],
    *,
    speakers: Mapping[str, str] | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[ProbeResult, ...]:
    """Compute every metric of the predictions, for each number of labels.

    Args:
        predictions: from `predict`.
        speakers: speaker by path, for the intervals; a path without speaker counts as a speaker of its own.
        rng: draws test speakers for the intervals; None computes no intervals.
    """
    words = words_of([one.split for one in predictions])
    kinds = dict.fromkeys(one.split.labels for one in predictions)
    return tuple(
        _result([one for one in predictions if one.split.labels == labels], words, speakers, rng) for labels in kinds
    )


def rates_of(predictions: Sequence[Predictions], labels: int | None) -> WordRates:
    """Precision and recall of each word in each repetition with this number of labels."""
    words = words_of([one.split for one in predictions])
    own = [one for one in predictions if one.split.labels == labels]
    return word_rates(words, [count(_labels(one, words), one.predicted, len(words)) for one in own])


def _labels(one: Predictions, words: Sequence[str]) -> Ints:
    number = {word: index for index, word in enumerate(words)}
    return np.array([number[clip.label] for clip in one.split.test])


def _result(
    predictions: Sequence[Predictions],
    words: Sequence[str],
    speakers: Mapping[str, str] | None,
    rng: np.random.Generator | None,
) -> ProbeResult:
    """Metrics of the predictions with one number of labels."""
    size = len(words)
    labels = [_labels(one, words) for one in predictions]
    paths = sorted({clip.path for one in predictions for clip in one.split.test})
    row_of = {path: row for row, path in enumerate(paths)}
    rows = [np.array([row_of[clip.path] for clip in one.split.test]) for one in predictions]

    def numbers(weights: Floats) -> Floats:
        """Metrics, then precisions, then recalls of the weighted clips, shape (repetitions, metrics + 2 · words)."""
        tables = [
            count(right, one.predicted, size, weights[own])
            for right, one, own in zip(labels, predictions, rows, strict=True)
        ]
        return np.stack(
            [[*numbers_of(table).values(), *np.concatenate(precision_and_recall(table))] for table in tables]
        )

    ends = None
    if speakers and rng is not None:
        ends = metrics.interval_over_speakers(
            lambda weights: numbers(weights).mean(axis=0), [speakers.get(path, "") for path in paths], rng
        )
    found = spreads(numbers(np.ones(len(paths))), ends)
    totals, precisions, recalls = found[: len(METRICS)], found[len(METRICS) : -size], found[-size:]
    table = np.sum([count(right, one.predicted, size) for right, one in zip(labels, predictions, strict=True)], axis=0)
    clips = (table.sum(axis=1) / len(predictions)).tolist()
    return ProbeResult(
        predictions[0].split.labels,
        len(predictions),
        float(np.mean([len(one.split.train) for one in predictions])),
        float(np.mean([len(one.split.test) for one in predictions])),
        dict(zip(METRICS, totals, strict=True)),
        {word: WordResult(*row) for word, *row in zip(words, precisions, recalls, clips, strict=True)},
        Confusion(tuple(words), tuple(words), tuple(tuple(row) for row in table.astype(int).tolist())),
    )
