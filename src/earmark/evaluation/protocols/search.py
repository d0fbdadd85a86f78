"""How good the hits of queries in an archive are: MAP, precision at 10, and NIST's term-weighted value.

A *place* is a stretch of a file in which a word is known to be said. A hit is right when its middle lies in a place of
its word, or no more than a tolerance before or after it, and no better hit has taken that place already. Places are as
exact as the references are: words with their times, or whole sentences that say the word.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation.metrics import interval_over_speakers
from earmark.evaluation.protocols.open_set import Estimate
from earmark.search import Hit

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

TOLERANCE_S = 0.5
BETA = 999.9
"""What a false alarm weighs in a term-weighted value, as in NIST's Spoken Term Detection evaluation of 2006."""

NUMBERS = {"map": "MAP", "precision_at_10": "P@10", "precision_at_r": "P@R", "mtwv": "MTWV"}
"""What is measured: key in the results, and what it is called."""


@dataclass(frozen=True)
class Place:
    """Where a word is said: which file, and between which times, in seconds."""

    file: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Judged:
    """The hits of one query.

    Attributes:
        scores: shape (m,), falling.
        is_right: shape (m,).
        places: how many there are to be found, above 0.
        label: the word.
    """

    scores: Floats
    is_right: Bools
    places: int
    label: str = ""


def judge(hits: Sequence[Hit], places: Sequence[Place], *, tolerance_s: float = TOLERANCE_S, label: str = "") -> Judged:
    """Decide which hits are right; each place is given to the best hit that lies there.

    Args:
        hits: of one query.
        places: where its word is said, at least one.
        tolerance_s: how far outside a place the middle of a hit may lie, in seconds.
        label: the word.

    Raises:
        InputError: there is no place.
    """
    if not places:
        raise InputError(f"{label or 'query'}: said nowhere in the references; leave it out")
    free: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        free[place.file].append(place)
    ordered = sorted(hits, key=lambda hit: -hit.score)
    is_right = np.zeros(len(ordered), np.bool_)
    for rank, hit in enumerate(ordered):
        middle_s = (hit.start_s + hit.end_s) / 2
        # Of several places that are near enough, the nearest: the others stay for other hits.
        near = min(free[hit.file], key=lambda place: _distance_s(middle_s, place), default=None)
        if near is not None and _distance_s(middle_s, near) <= tolerance_s:
            free[hit.file].remove(near)
            is_right[rank] = True
    return Judged(np.array([hit.score for hit in ordered], np.float64), is_right, len(places), label)


def average_precision(judged: Judged) -> float:
    """Precision at the rank of each right hit, averaged over all places; a place that is not found counts 0.

    >>> average_precision(Judged(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 4))
    0.41666...
    """
    precision = np.cumsum(judged.is_right) / np.arange(1, len(judged.is_right) + 1)
    return float(precision[judged.is_right].sum() / judged.places)


def precision_at(judged: Judged, count: int) -> float:
    """Share of the first `count` hits that are right; hits that are missing count as wrong."""
    return float(judged.is_right[:count].sum() / count)


def term_weighted_value(queries: Sequence[Judged], threshold: float, sound_s: float, *, beta: float = BETA) -> float:
    """TWV(θ) = 1 − mean over queries of [P_miss(θ) + β · P_FA(θ)].

    P_miss = 1 − right hits / places, P_FA = wrong hits / (sound_s − places), counting hits with a score of θ or more: a
    second of sound is one chance for a false alarm. 1 is perfect, 0 is what no hit at all gets; there is no lower end.

    Args:
        queries: from `judge`.
        threshold: θ.
        sound_s: length of the sound that was searched, in seconds.
        beta: weight of false alarms.
    """
    values = []
    for judged in queries:
        accepted = judged.scores >= threshold
        right = int((accepted & judged.is_right).sum())
        wrong = int(accepted.sum()) - right
        values.append(right / judged.places - beta * wrong / _chances(judged, sound_s))
    return float(np.mean(values))


def max_term_weighted_value(
    queries: Sequence[Judged], sound_s: float, *, beta: float = BETA, weights: Floats | None = None
) -> tuple[float, float]:
    """MTWV: the greatest TWV over thresholds, one for all queries, and that threshold (+inf where no hit helps).

    Args:
        queries: from `judge`.
        sound_s: length of the sound that was searched, in seconds.
        beta: weight of false alarms.
        weights: how often each query counts, shape (q,); None counts each once.
    """
    counts = np.ones(len(queries)) if weights is None else weights
    gains = [
        count * np.where(judged.is_right, 1 / judged.places, -beta / _chances(judged, sound_s))
        for judged, count in zip(queries, counts, strict=True)
    ]
    scores = np.concatenate([judged.scores for judged in queries])
    order = np.argsort(-scores, kind="stable")
    value = np.cumsum(np.concatenate(gains)[order]) / counts.sum()
    # Hits of one score are accepted together.
    is_last = np.append(scores[order][1:] != scores[order][:-1], True)[: len(scores)]
    value, thresholds = np.append(0.0, value[is_last]), np.append(np.inf, scores[order][is_last])
    best = int(np.argmax(value))
    return float(value[best]), float(thresholds[best])


def measure(queries: Sequence[Judged], sound_s: float, rng: np.random.Generator | None = None) -> dict[str, Estimate]:
    """Every number of `NUMBERS`, means over queries.

    Args:
        queries: from `judge`, at least one.
        sound_s: length of the sound that was searched, in seconds.
        rng: draws words for the 95 % intervals; None leaves the intervals out.
    """
    columns = np.array(
        [[average_precision(one), precision_at(one, 10), precision_at(one, one.places)] for one in queries]
    )

    def numbers(weights: Floats) -> list[float]:
        means = np.average(columns, axis=0, weights=weights).tolist()
        return [*means, max_term_weighted_value(queries, sound_s, weights=weights)[0]]

    values = numbers(np.ones(len(queries)))
    low = high = np.full(len(values), np.nan)
    if rng is not None:
        # Queries of one word resemble each other, as the clips of one speaker do.
        low, high = interval_over_speakers(numbers, [judged.label for judged in queries], rng)
    return {
        key: Estimate(float(value), float(least), float(most))
        for key, value, least, most in zip(NUMBERS, values, low, high, strict=True)
    }


def by_label(queries: Sequence[Judged]) -> Mapping[str, list[Judged]]:
    """The queries of each word, in the order of the words' first queries."""
    found: dict[str, list[Judged]] = {}
    for judged in queries:
        found.setdefault(judged.label, []).append(judged)
    return found


def _distance_s(time_s: float, place: Place) -> float:
    """How far a time lies outside a place; below 0 inside it, the deeper the lower."""
    return max(place.start_s - time_s, time_s - place.end_s)


def _chances(judged: Judged, sound_s: float) -> float:
    return max(1.0, sound_s - judged.places)
