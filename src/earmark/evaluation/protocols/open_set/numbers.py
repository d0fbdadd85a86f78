"""Metrics of an open-set test, from scores and decisions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation import metrics
from earmark.evaluation.confusion import Confusion, count_confusion
from earmark.evaluation.estimates import Estimate, estimates
from earmark.evaluation.protocols.open_set.decisions import Backend, ScoredOpenSet, ScoreOptions, Unknown, score
from earmark.evaluation.protocols.open_set.lists import OpenSetLists
from earmark.evaluation.svm import SvmSettings

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class OpenSetResult:
    """Results of an open-set test.

    Attributes:
        classes: targets, including silence.
        backend: scoring back-end.
        unknown: how unknown words are rejected.
        svm: settings of the SVMs; None for other back-ends.
        threshold: lowest accepted score; None with an unknown cluster.
        clips: number of clips: `train`, `validation`, and the test clips `target`, `seen_unknown`, `unseen_unknown`.
        numbers: fractions by the keys of `METRICS`.
        confusion: confusion matrix of the test clips.
    """

    classes: tuple[str, ...]
    backend: Backend
    unknown: Unknown
    svm: SvmSettings | None
    threshold: float | None
    clips: dict[str, int]
    numbers: dict[str, Estimate]
    confusion: Confusion


_RATIOS = {"1_1": 1, "11_1": 11}
_UNKNOWNS = {"": "", "_seen": ", seen unknowns", "_unseen": ", unseen unknowns"}
METRICS = {
    "target_accuracy": "target accuracy",
    "macro_auc": "AUC, mean over classes",
    "map": "mAP",
    **{f"non_target_accuracy{part}": f"non-target accuracy{words}" for part, words in _UNKNOWNS.items()},
    **{
        f"total_{ratio}{part}": f"total accuracy at {weight}:1{words}"
        for ratio, weight in _RATIOS.items()
        for part, words in _UNKNOWNS.items()
    },
    **{f"auc{part}": f"AUC target or unknown{words}" for part, words in _UNKNOWNS.items()},
    **{f"eer{part}": f"EER target or unknown{words}" for part, words in _UNKNOWNS.items()},
}
"""Name of each metric, by its key in the results."""


def compute_metrics(
    lists: OpenSetLists,
    vectors: Mapping[str, Floats],
    *,
    speakers: Mapping[str, str] | None = None,
    seed: int = 0,
    **options: Unpack[ScoreOptions],
) -> OpenSetResult:
    """Score the test clips from their embeddings, and compute every metric.

    Args:
        lists: training and test clips.
        vectors: embeddings, shape (d,), by path.
        speakers: speaker by path, for the folds and the intervals.
        seed: seed of the folds and of the bootstrap over speakers.
        options: `backend`, `unknown`, `svm` and `head` of `score`.
    """
    scored = score(lists, vectors, speakers=speakers, seed=seed, **options)
    return count(scored, speakers=speakers, rng=np.random.default_rng(seed))


def count(
    scored: ScoredOpenSet, *, speakers: Mapping[str, str] | None = None, rng: np.random.Generator | None = None
) -> OpenSetResult:
    """Compute every metric of the scores and decisions.

    Args:
        scored: from `score`.
        speakers: speaker by path, for the intervals; a path without speaker counts as a speaker of its own.
        rng: draws speakers for the intervals; None computes no intervals.
    """
    lists = scored.lists
    numbers = _numbers_of(scored)
    values = np.array(numbers(None))
    ends = None
    if speakers and rng is not None:
        ends = metrics.interval_over_speakers(numbers, [speakers.get(clip.path, "") for clip in lists.test], rng)
    seen = int(lists.is_seen.sum())
    unknown = int((scored.truth == len(lists.classes)).sum())
    return OpenSetResult(
        lists.classes,
        scored.backend,
        scored.unknown,
        scored.svm,
        scored.threshold,
        {
            "train": len(lists.train),
            "validation": len(lists.validation),
            "target": len(lists.test) - unknown,
            "seen_unknown": seen,
            "unseen_unknown": unknown - seen,
        },
        estimates(METRICS, values, ends),
        confusion(scored),
    )


def confusion(scored: ScoredOpenSet) -> Confusion:
    """Confusion matrix of the decisions: one row per class, and a row each for seen and unseen unknowns, if any."""
    size = len(scored.lists.classes)
    kinds = scored.truth + (scored.truth == size) * ~scored.lists.is_seen
    rows = (*scored.lists.classes, "seen unknown", "unseen unknown")
    found = count_confusion(rows, (*scored.lists.classes, "unknown"), kinds, scored.decisions)
    kept = [row for row in range(size + 2) if row < size or any(found.counts[row])]
    return Confusion(tuple(found.rows[row] for row in kept), found.columns, tuple(found.counts[row] for row in kept))


def detection_trials(scored: ScoredOpenSet) -> dict[str, tuple[Floats, Bools]]:
    """Trials of target against unknown: the best score of each clip, and whether the clip is a target.

    Returns:
        Scores, shape (m,), and booleans, shape (m,), by the negatives: `all unknowns`, `seen unknowns`, `unseen
        unknowns`; a kind without clips is left out.
    """
    best = scored.scores.max(axis=1)
    return {
        f"{name} unknowns": (best[kept], is_target[kept])
        for name, kept, is_target in _kinds(scored)
        if not is_target[kept].all()
    }


def _kinds(scored: ScoredOpenSet) -> list[tuple[str, Bools, Bools]]:
    """List the kinds of unknowns: all, seen and unseen.

    Each has its name, whether each test clip is a target or an unknown of this kind, and whether each test clip is a
    target.
    """
    is_target = scored.truth < len(scored.lists.classes)
    seen = scored.lists.is_seen
    return [
        ("all", np.ones(len(is_target), np.bool_), is_target),
        ("seen", is_target | seen, is_target),
        ("unseen", is_target | ~seen, is_target),
    ]


def _numbers_of(scored: ScoredOpenSet) -> Callable[[Floats | None], list[float]]:
    """Return a function from weights of the test clips, or None, to the metrics in the order of `METRICS`.

    Trials are sorted once for all calls.
    """
    truth, right = scored.truth, scored.decisions == scored.truth
    is_target = truth < len(scored.lists.classes)
    ranked = [
        (order, scored.scores[order, number], truth[order] == number)
        for number, order in enumerate(np.argsort(-scored.scores, axis=0).T)
    ]
    best = scored.scores.max(axis=1)
    order = np.argsort(-best)
    detections = [order[kept[order]] for _, kept, _ in _kinds(scored)]

    def numbers(weights: Floats | None) -> list[float]:
        counts = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
        target = _share(right, counts * is_target)
        refused = [_share(right, counts * (kept & ~is_target)) for _, kept, _ in _kinds(scored)]
        classes = [_curve(values, positive, counts[rows]) for rows, values, positive in ranked]
        present = [curve for curve in classes if curve is not None]
        finding = [_curve(best[rows], is_target[rows], counts[rows]) for rows in detections]
        return [
            target,
            _mean([metrics.area_under_curve(curve) for curve in present]),
            _mean([metrics.average_precision(curve) for curve in present]),
            *refused,
            *((ratio * target + one) / (ratio + 1) for ratio in _RATIOS.values() for one in refused),
            *(np.nan if curve is None else metrics.area_under_curve(curve) for curve in finding),
            *(np.nan if curve is None else metrics.equal_error_rate(curve) for curve in finding),
        ]

    return numbers


def _curve(scores: Floats, positive: Bools, weights: Floats) -> metrics.ErrorCurve | None:
    """Error curve of weighted trials; None if all positive or all negative trials have weight 0."""
    if not weights[positive].any() or not weights[~positive].any():
        return None
    return metrics.error_curve(scores, positive, weights)


def _share(right: Bools, weights: Floats) -> float:
    """Weighted share of right decisions; NaN if all weights are 0."""
    total = weights.sum()
    return float(weights @ right / total) if total > 0 else float("nan")


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
