"""Retrieval of spoken terms: MAP, precision at rank, and NIST's maximum term-weighted value.

An *occurrence* is a span of a file in which a word is said. A hit is correct if its middle is in an occurrence of its
word, or outside by at most a tolerance, and no better hit was matched with the same occurrence. References are words
with their times, or whole sentences that contain the word.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation.estimates import Estimate
from earmark.evaluation.metrics import interval_over_speakers
from earmark.search import Hit

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

TOLERANCE_S = 0.5
BETA = 999.9
"""Weight of a false alarm in a term-weighted value, as in NIST's Spoken Term Detection evaluation of 2006."""

METRICS = {"map": "MAP", "precision_at_10": "P@10", "precision_at_r": "P@R", "mtwv": "MTWV"}
"""Name of each metric, by its key in the results."""


@dataclass(frozen=True)
class Occurrence:
    """A span of a file, in seconds, in which a word is said."""

    file: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class QueryResult:
    """The hits of a query, compared with the references.

    Attributes:
        scores: scores of the hits, descending, shape (m,).
        is_correct: whether each hit is correct, shape (m,).
        occurrences: number of occurrences of the word, above 0.
        label: the word.
    """

    scores: Floats
    is_correct: Bools
    occurrences: int
    label: str = ""


def match_hits(
    hits: Sequence[Hit], occurrences: Sequence[Occurrence], *, tolerance_s: float = TOLERANCE_S, label: str = ""
) -> QueryResult:
    """Match each occurrence with the best hit close to it.

    Args:
        hits: hits of a query.
        occurrences: occurrences of the query's word, at least one.
        tolerance_s: largest distance of the middle of a correct hit from its occurrence.
        label: the word.

    Raises:
        InputError: there is no occurrence.
    """
    if not occurrences:
        raise InputError(f"{label or 'query'}: no occurrence in the references; leave the query out")
    free: dict[str, list[Occurrence]] = defaultdict(list)
    for occurrence in occurrences:
        free[occurrence.file].append(occurrence)
    ordered = sorted(hits, key=lambda hit: -hit.score)
    is_correct = np.zeros(len(ordered), np.bool_)
    for rank, hit in enumerate(ordered):
        middle_s = (hit.start_s + hit.end_s) / 2
        # Of several occurrences within the tolerance, only the nearest is matched; the others stay free for other hits.
        near = min(free[hit.file], key=lambda one: _distance_s(middle_s, one), default=None)
        if near is not None and _distance_s(middle_s, near) <= tolerance_s:
            free[hit.file].remove(near)
            is_correct[rank] = True
    return QueryResult(np.array([hit.score for hit in ordered], np.float64), is_correct, len(occurrences), label)


def average_precision(result: QueryResult) -> float:
    """Precision at the rank of each correct hit, averaged over all occurrences; a missed occurrence counts 0.

    >>> average_precision(QueryResult(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 4))
    0.41666...
    """
    precision = np.cumsum(result.is_correct) / np.arange(1, len(result.is_correct) + 1)
    return float(precision[result.is_correct].sum() / result.occurrences)


def precision_at(result: QueryResult, count: int) -> float:
    """Share of the first `count` hits that are correct; missing hits count as wrong."""
    return float(result.is_correct[:count].sum() / count)


def max_term_weighted_value(
    results: Sequence[QueryResult], audio_s: float, *, beta: float = BETA, weights: Floats | None = None
) -> tuple[float, float]:
    """MTWV: the largest term-weighted value (TWV) over all thresholds, where all queries share one threshold.

    TWV(θ) = 1 − mean over queries of [P_miss(θ) + β · P_FA(θ)], with P_miss = 1 − correct hits / occurrences and
    P_FA = wrong hits / (audio_s − occurrences), over hits with a score of at least θ. 1 is perfect, 0 is the value
    without any hit; there is no lower bound.

    Args:
        results: from `match_hits`.
        audio_s: duration of the audio that was searched.
        beta: weight of false alarms.
        weights: weights of the queries, shape (q,); None for equal weights.

    Returns:
        The largest TWV and its threshold, which is +inf if no hit improves the value.
    """
    counts = np.ones(len(results)) if weights is None else weights
    gains = [
        count * np.where(one.is_correct, 1 / one.occurrences, -beta / max(1.0, audio_s - one.occurrences))
        for one, count in zip(results, counts, strict=True)
    ]
    scores = np.concatenate([one.scores for one in results])
    order = np.argsort(-scores, kind="stable")
    value = np.cumsum(np.concatenate(gains)[order]) / counts.sum()
    # Hits with equal scores are accepted together.
    is_last = np.append(scores[order][1:] != scores[order][:-1], True)[: len(scores)]
    value, thresholds = np.append(0.0, value[is_last]), np.append(np.inf, scores[order][is_last])
    best = int(np.argmax(value))
    return float(value[best]), float(thresholds[best])


def search_metrics(
    results: Sequence[QueryResult], audio_s: float, rng: np.random.Generator | None = None
) -> dict[str, Estimate]:
    """Compute the metrics of `METRICS` over all queries.

    Args:
        results: from `match_hits`, at least one.
        audio_s: duration of the audio that was searched.
        rng: draws words for the 95 % intervals; None computes no intervals.
    """
    columns = np.array(
        [[average_precision(one), precision_at(one, 10), precision_at(one, one.occurrences)] for one in results]
    )

    def metrics(weights: Floats) -> list[float]:
        means = np.average(columns, axis=0, weights=weights).tolist()
        return [*means, max_term_weighted_value(results, audio_s, weights=weights)[0]]

    values = metrics(np.ones(len(results)))
    low = high = np.full(len(values), np.nan)
    if rng is not None:
        # Queries of one word are dependent, like the clips of one speaker.
        low, high = interval_over_speakers(metrics, [one.label for one in results], rng)
    return {
        key: Estimate(float(value), float(least), float(most))
        for key, value, least, most in zip(METRICS, values, low, high, strict=True)
    }


def by_label(results: Sequence[QueryResult]) -> Mapping[str, list[QueryResult]]:
    """Group results by word; words are in the order of their first queries."""
    found: dict[str, list[QueryResult]] = {}
    for one in results:
        found.setdefault(one.label, []).append(one)
    return found


def _distance_s(time_s: float, occurrence: Occurrence) -> float:
    """Distance of a time from an occurrence; negative inside it, and least in its middle."""
    return max(occurrence.start_s - time_s, time_s - occurrence.end_s)
