"""Metrics: error rates over trials, decisions over clips, and intervals over speakers.

A trial is one clip against one keyword; it is positive if the clip's label is the keyword. A trial is accepted if
`score >= threshold`, so that trials with equal scores are accepted or rejected together. FAR is the share of negative
trials accepted, FRR the share of positive trials rejected. Rates are fractions, not percent. Only the order of the
scores counts.
"""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.core.errors import InputError

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class ErrorCurve:
    """Both error rates at every distinct threshold: the ROC, or on other axes the DET curve.

    Attributes:
        thresholds: +inf, where nothing is accepted, then each distinct score, descending, shape (t,).
        alarms: total weight of the negative trials accepted at each threshold, ascending from 0, shape (t,).
        hits: total weight of the positive trials accepted at each threshold, ascending from 0, shape (t,).
    """

    thresholds: NDArray[np.float64]
    alarms: NDArray[np.float64]
    hits: NDArray[np.float64]

    @property
    def far(self) -> NDArray[np.float64]:
        """False-acceptance rates, ascending from 0 to 1, shape (t,)."""
        return self.alarms / self.alarms[-1]

    @property
    def frr(self) -> NDArray[np.float64]:
        """False-rejection rates, descending from 1 to 0, shape (t,)."""
        return (self.hits[-1] - self.hits) / self.hits[-1]


def error_curve(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> ErrorCurve:
    """Count the accepted positive and negative trials at every distinct score.

    Args:
        scores: higher means more similar, shape (n,).
        positive: booleans, shape (n,).
        weights: weight of each trial, >= 0, shape (n,); None for 1.

    Raises:
        InputError: the lengths differ, a score is NaN, or one kind of trial has no weight.

    >>> curve = error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False])
    >>> curve.far.tolist(), curve.frr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0, 0.0])
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    counts = np.ones(scores.shape) if weights is None else np.asarray(weights, np.float64)
    if scores.ndim != 1 or positive.shape != scores.shape or counts.shape != scores.shape:
        raise InputError(
            f"scores {scores.shape}, positive {positive.shape}, weights {counts.shape}: pass one of each per trial"
        )
    if np.isnan(scores).any():
        raise InputError("scores: some scores are NaN; check the embeddings")
    order = np.argsort(-scores, kind="stable")  # fast if the caller has sorted them
    scores, positive, counts = scores[order], positive[order], counts[order]
    hits, alarms = np.cumsum(counts * positive), np.cumsum(counts * ~positive)
    if scores.size == 0 or hits[-1] <= 0 or alarms[-1] <= 0:
        raise InputError(
            "error rates need positive and negative trials, but one kind is missing; add trials of this kind"
        )
    # The last of each run of equal scores, which are accepted together.
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    return ErrorCurve(np.append(np.inf, scores[last]), np.append(0.0, alarms[last]), np.append(0.0, hits[last]))


def corners(curve: ErrorCurve) -> ErrorCurve:
    """Drop the points of a curve that are on the line between their neighbors, as in scikit-learn's ROC."""
    alarms, hits = curve.alarms[1:], curve.hits[1:]
    bends = (np.diff(alarms, 2) != 0) | (np.diff(hits, 2) != 0)
    ends = np.ones(min(alarms.size, 2), np.bool_)
    kept = np.concatenate(([True], ends[:1], bends, ends[1:]))
    return ErrorCurve(curve.thresholds[kept], curve.alarms[kept], curve.hits[kept])


def equal_error_rate(curve: ErrorCurve) -> float:
    """EER: the rate at which the curve crosses FAR = FRR.

    Points are joined by straight lines, so that a step with both kinds of trial at one score is interpolated. The EER
    stays the same if positive and negative trials are exchanged and all scores are negated.

    >>> equal_error_rate(error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False]))
    0.5
    """
    gap = curve.frr - curve.far  # descends from 1 to -1
    after = int(np.argmax(gap <= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    far = curve.far
    return float(far[after - 1] + share * (far[after] - far[after - 1]))


def equal_error_rate_at_point(curve: ErrorCurve) -> float:
    """EER as in Jung et al. 2023: the larger rate at the corner of the curve with the smallest |FRR - FAR|.

    It is never below `equal_error_rate`, and depends on the points that an ROC implementation keeps, here
    scikit-learn's.
    """
    kept = corners(curve)
    nearest = int(np.argmin(np.abs(kept.frr - kept.far)))
    return float(max(kept.frr[nearest], kept.far[nearest]))


def frr_at_far(curve: ErrorCurve, far: float) -> float:
    """Smallest FRR among the thresholds with a FAR of `far` or less.

    >>> frr_at_far(error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False]), far=0.1)
    0.5
    """
    _check_share(far)
    return float(curve.frr[np.searchsorted(curve.far, far, side="right") - 1])


def frr_at_point(curve: ErrorCurve, far: float) -> float:
    """FRR as in Jung et al. 2023: at the first corner of the curve with a FAR of `far` or more.

    It is lower than `frr_at_far` unless a corner has exactly this FAR, because its threshold accepts more than `far`.

    >>> frr_at_point(error_curve([0.9, 0.8, 0.8, 0.1], [True, False, True, False]), far=0.1)
    0.0
    """
    _check_share(far)
    kept = corners(curve)
    return float(kept.frr[np.searchsorted(kept.far, far, side="left")])


def average_precision(curve: ErrorCurve) -> float:
    """AP: the mean, over positive trials, of the precision at their thresholds; not interpolated.

    >>> round(average_precision(error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False])), 3)
    0.833
    """
    accepted = curve.hits + curve.alarms
    precision = np.divide(curve.hits, accepted, out=np.zeros(accepted.shape), where=accepted > 0)
    return float(np.diff(curve.hits) @ precision[1:] / curve.hits[-1])


def area_under_curve(curve: ErrorCurve) -> float:
    """AUC: the probability that a positive trial scores above a negative one; ties count half."""
    return float(np.trapezoid(1 - curve.frr, curve.far))


def min_dcf(curve: ErrorCurve, *, p_target: float = 0.05, cost_miss: float = 1.0, cost_alarm: float = 1.0) -> float:
    """Minimum detection cost over all thresholds, relative to the better of accepting nothing and everything.

    Args:
        curve: from `error_curve`.
        p_target: prior of a positive trial, in (0, 1).
        cost_miss: cost of rejecting a positive trial.
        cost_alarm: cost of accepting a negative trial.
    """
    if not 0 < p_target < 1 or cost_miss <= 0 or cost_alarm <= 0:
        raise InputError(f"p_target {p_target} must be in (0, 1), costs {cost_miss} and {cost_alarm} above 0")
    miss, alarm = cost_miss * p_target, cost_alarm * (1 - p_target)
    return float((miss * curve.frr + alarm * curve.far).min() / min(miss, alarm))


def accuracy(scores: Floats, targets: Ints, weights: Floats | None = None) -> float:
    """Closed-set accuracy: share of target clips whose highest-scoring keyword is right; the first keyword wins a tie.

    Args:
        scores: shape (n, k).
        targets: index of each clip's keyword, shape (n,); clips with -1 (impostors) are left out.
        weights: weight of each clip, shape (n,).

    Raises:
        InputError: there is no target clip.
    """
    chosen, targets, counts = _target_clips(scores, targets, weights)
    return float(np.average(chosen == targets, weights=counts))


def macro_f1(scores: Floats, targets: Ints, weights: Floats | None = None) -> float:
    """Closed-set macro F1: the mean of F1 over keywords; arguments and ties as in `accuracy`.

    F1 is 0 for a keyword without labeled and predicted clips.
    """
    chosen, targets, counts = _target_clips(scores, targets, weights)
    size = scores.shape[1]
    right = np.bincount(targets, counts * (chosen == targets), size)
    either = np.bincount(targets, counts, size) + np.bincount(chosen, counts, size)
    return float(np.mean(2 * right / np.where(either > 0, either, 1)))


def open_set_identification(scores: Floats, targets: Ints, share: float, weights: Floats | None = None) -> float:
    """Share of target clips that are accepted with the right keyword if at most `share` of impostors is accepted.

    A clip's score is that of its best keyword. The threshold is the lowest one that accepts
    at most `share` of the impostor clips.

    Args:
        scores: shape (n, k).
        targets: index of each clip's keyword, -1 for an impostor, shape (n,).
        share: largest accepted share of the impostor clips, in [0, 1].
        weights: weight of each clip, shape (n,).

    Returns:
        The share, in [0, 1]; NaN without impostor clips.
    """
    _check_share(share)
    chosen, best = scores.argmax(axis=1), scores.max(axis=1)
    counts = np.ones(len(scores)) if weights is None else weights
    target = targets >= 0
    if not counts[~target].any():
        return float("nan")
    curve = error_curve(best, target, counts)
    threshold = curve.thresholds[np.searchsorted(curve.far, share, side="right") - 1]
    # The next lower score would accept too many impostors.
    right = (chosen == targets) & (best >= threshold)
    return float(np.average(right[target], weights=counts[target]))


def interval_over_speakers(
    statistic: Callable[[Floats], ArrayLike],
    speakers: Sequence[str],
    rng: np.random.Generator,
    *,
    resamples: int = 200,
    level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Compute intervals of a statistic by resampling speakers (percentile bootstrap).

    Clips of one speaker are similar; drawing single clips would make the interval too narrow.

    Args:
        statistic: maps the weights of the clips, shape (n,), to one or several numbers.
        speakers: one per clip; a clip with "" counts as a speaker of its own.
        rng: draws the speakers.
        resamples: number of draws; each draws as many speakers as there are, with replacement.
        level: share of the resampled numbers inside the interval.

    Returns:
        Lower and upper ends, each in the statistic's shape; NaN where no draw gave a number.

    Raises:
        InputError: there is no clip, or the statistic fails on the original clips.
    """
    if not speakers:
        raise InputError("speakers: there are none; pass the speaker of at least one clip")
    names = [speaker or f"\0{index}" for index, speaker in enumerate(speakers)]
    _, speaker_ids = np.unique(np.array(names), return_inverse=True)
    size = int(speaker_ids.max()) + 1
    values = np.full((resamples, *np.shape(statistic(np.ones(len(speaker_ids))))), np.nan)
    for index in range(resamples):
        drawn = np.bincount(rng.integers(size, size=size), minlength=size)
        # A draw from a small list can lack all positive or all negative trials.
        with contextlib.suppress(InputError):
            values[index] = statistic(drawn[speaker_ids].astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a number that is NaN in every draw stays NaN
        low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _target_clips(scores: Floats, targets: Ints, weights: Floats | None) -> tuple[Ints, Ints, Floats]:
    """Highest-scoring keyword, right keyword and weight of each target clip."""
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise InputError(f"scores {scores.shape}, targets {targets.shape}: expected (n, k) and (n,)")
    if np.isnan(scores).any():
        raise InputError("scores: some scores are NaN; check the embeddings")
    target = targets >= 0
    counts = np.ones(len(targets)) if weights is None else weights
    if not counts[target].any():
        raise InputError("targets: no clip is of a keyword; add a clip of a keyword")
    return scores[target].argmax(axis=1), targets[target], counts[target]


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise InputError(f"share: {share} is not between 0 and 1; write 2.5 % as 0.025")
