"""How good scores are: error rates over trials, decisions over clips, and intervals over speakers.

A trial is one clip against one keyword; it is positive where the clip's label is the keyword. A trial is
accepted where `score >= threshold`; trials with one score are therefore accepted or refused together. FAR is
the share of negative trials accepted, FRR the share of positive trials refused. Rates are fractions, not
percent. Only the order of the scores counts. Numpy alone.
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
    """Both errors at every threshold that makes a difference: the ROC, and on other axes the DET curve.

    Attributes:
        thresholds: shape (t,), falling, starts with +inf, where nothing is accepted; then each distinct score.
        alarms: shape (t,), weight of the negative trials accepted, rising from 0.
        hits: shape (t,), weight of the positive trials accepted, rising from 0.
    """

    thresholds: NDArray[np.float64]
    alarms: NDArray[np.float64]
    hits: NDArray[np.float64]

    @property
    def far(self) -> NDArray[np.float64]:
        """False-acceptance rates, shape (t,), rising from 0 to 1."""
        return self.alarms / self.alarms[-1]

    @property
    def frr(self) -> NDArray[np.float64]:
        """False-rejection rates, shape (t,), falling from 1 to 0."""
        return (self.hits[-1] - self.hits) / self.hits[-1]


def error_curve(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> ErrorCurve:
    """Count both errors at every distinct score.

    Args:
        scores: shape (n,), higher means more alike.
        positive: shape (n,), booleans.
        weights: shape (n,), how often each trial counts, >= 0; None counts each once.

    Raises:
        InputError: lengths differ, a score is NaN, or all the weight lies on one kind of trial.

    >>> curve = error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False])
    >>> curve.far.tolist(), curve.frr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0, 0.0])
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    counts = np.ones(scores.shape) if weights is None else np.asarray(weights, np.float64)
    if scores.ndim != 1 or positive.shape != scores.shape or counts.shape != scores.shape:
        raise InputError(f"scores {scores.shape}, positive {positive.shape}, weights {counts.shape}: one length needed")
    if np.isnan(scores).any():
        raise InputError("scores: not a number among them")
    order = np.argsort(-scores, kind="stable")  # fast where the caller has sorted them already
    scores, positive, counts = scores[order], positive[order], counts[order]
    hits, alarms = np.cumsum(counts * positive), np.cumsum(counts * ~positive)
    if scores.size == 0 or hits[-1] <= 0 or alarms[-1] <= 0:
        raise InputError("error rates need at least one positive and one negative trial")
    # The last of each run of equal scores: they are accepted together.
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    return ErrorCurve(np.append(np.inf, scores[last]), np.append(0.0, alarms[last]), np.append(0.0, hits[last]))


def corners(curve: ErrorCurve) -> ErrorCurve:
    """The same line without the points that lie straight between their neighbors (what sklearn's ROC keeps)."""
    alarms, hits = curve.alarms[1:], curve.hits[1:]
    bends = (np.diff(alarms, 2) != 0) | (np.diff(hits, 2) != 0)
    ends = np.ones(min(alarms.size, 2), np.bool_)
    kept = np.concatenate(([True], ends[:1], bends, ends[1:]))
    return ErrorCurve(curve.thresholds[kept], curve.alarms[kept], curve.hits[kept])


def equal_error_rate(curve: ErrorCurve) -> float:
    """EER: where the line through the points of the curve crosses FAR = FRR.

    Points are joined by straight lines; a step with both kinds of trial at one score is therefore cut in
    proportion. Swapping the two kinds of trial and the sign of the scores leaves it as it is.

    >>> equal_error_rate(error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False]))
    0.5
    """
    gap = curve.frr - curve.far  # falls from 1 to -1
    after = int(np.argmax(gap <= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    far = curve.far
    return float(far[after - 1] + share * (far[after] - far[after - 1]))


def equal_error_rate_at_point(curve: ErrorCurve) -> float:
    """EER as Jung et al. 2023 publish it: at the corner of the curve with the least |FRR - FAR|, the larger of both.

    Never below `equal_error_rate`; it depends on which points an ROC implementation keeps, here sklearn's.
    """
    kept = corners(curve)
    nearest = int(np.argmin(np.abs(kept.frr - kept.far)))
    return float(max(kept.frr[nearest], kept.far[nearest]))


def frr_at_far(curve: ErrorCurve, far: float) -> float:
    """Smallest FRR among the thresholds whose FAR is `far` or less.

    >>> frr_at_far(error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False]), far=0.1)
    0.5
    """
    _check_share(far)
    return float(curve.frr[np.searchsorted(curve.far, far, side="right") - 1])


def frr_at_point(curve: ErrorCurve, far: float) -> float:
    """FRR as Jung et al. 2023 publish it: at the first corner of the curve whose FAR is `far` or more.

    Kinder than `frr_at_far` unless a corner lies at `far` itself: its threshold lets in more than `far`.

    >>> frr_at_point(error_curve([0.9, 0.8, 0.8, 0.1], [True, False, True, False]), far=0.1)
    0.0
    """
    _check_share(far)
    kept = corners(curve)
    return float(kept.frr[np.searchsorted(kept.far, far, side="left")])


def average_precision(curve: ErrorCurve) -> float:
    """AP: precision at each threshold, averaged over the positive trials that the threshold adds; not interpolated.

    >>> round(average_precision(error_curve([0.9, 0.8, 0.7, 0.1], [True, False, True, False])), 3)
    0.833
    """
    accepted = curve.hits + curve.alarms
    precision = np.divide(curve.hits, accepted, out=np.zeros(accepted.shape), where=accepted > 0)
    return float(np.diff(curve.hits) @ precision[1:] / curve.hits[-1])


def area_under_curve(curve: ErrorCurve) -> float:
    """AUC: the chance that a positive trial scores above a negative one, ties counted half."""
    return float(np.trapezoid(1 - curve.frr, curve.far))


def min_dcf(curve: ErrorCurve, *, p_target: float = 0.05, cost_miss: float = 1.0, cost_alarm: float = 1.0) -> float:
    """Least detection cost over all thresholds, in units of the better of accepting nothing and everything.

    Args:
        curve: from `error_curve`.
        p_target: prior of a positive trial, in (0, 1).
        cost_miss: cost of a positive trial refused.
        cost_alarm: cost of a negative trial accepted.
    """
    if not 0 < p_target < 1 or cost_miss <= 0 or cost_alarm <= 0:
        raise InputError(f"p_target {p_target} must lie in (0, 1), costs {cost_miss}, {cost_alarm} above 0")
    miss, alarm = cost_miss * p_target, cost_alarm * (1 - p_target)
    return float((miss * curve.frr + alarm * curve.far).min() / min(miss, alarm))


def accuracy(scores: Floats, targets: Ints, weights: Floats | None = None) -> float:
    """Closed set: share of target clips whose best keyword is theirs; the first keyword wins a tie.

    Args:
        scores: shape (n, k).
        targets: shape (n,), index of each clip's keyword; clips with -1 (impostors) are left out.
        weights: shape (n,), how often each clip counts.

    Raises:
        InputError: no target clip.
    """
    chosen, targets, counts = _target_clips(scores, targets, weights)
    return float(np.average(chosen == targets, weights=counts))


def macro_f1(scores: Floats, targets: Ints, weights: Floats | None = None) -> float:
    """Closed set: the mean over keywords of each one's F1; arguments and ties as `accuracy`.

    A keyword that no clip has and no clip is taken for counts 0.
    """
    chosen, targets, counts = _target_clips(scores, targets, weights)
    size = scores.shape[1]
    right = np.bincount(targets, counts * (chosen == targets), size)
    either = np.bincount(targets, counts, size) + np.bincount(chosen, counts, size)
    return float(np.mean(2 * right / np.where(either > 0, either, 1)))


def open_set_identification(scores: Floats, targets: Ints, share: float, weights: Floats | None = None) -> float:
    """Share of target clips that are both right and accepted, where `share` of the impostor clips or fewer get in.

    A clip's score is that of its best keyword. The threshold is the lowest that lets in no more impostor clips.

    Args:
        scores: shape (n, k).
        targets: shape (n,), index of each clip's keyword, -1 for an impostor.
        share: of the impostor clips, in [0, 1].
        weights: shape (n,), how often each clip counts.

    Returns:
        The share, in [0, 1]; NaN where there is no impostor clip.
    """
    _check_share(share)
    chosen, best = scores.argmax(axis=1), scores.max(axis=1)
    counts = np.ones(len(scores)) if weights is None else weights
    target = targets >= 0
    if not counts[~target].any():
        return float("nan")
    curve = error_curve(best, target, counts)
    threshold = curve.thresholds[np.searchsorted(curve.far, share, side="right") - 1]
    # Nothing lies between this threshold and the next score below it, which would let in too many.
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
    """Percentile bootstrap over speakers: how far numbers would move with other voices.

    Clips of one voice resemble each other; drawing clips one by one would make the interval too narrow.

    Args:
        statistic: of weights, shape (n,), one per clip: how often the clip counts. Gives one or several numbers.
        speakers: one per clip; a clip with "" stands for itself.
        rng: draws the speakers.
        resamples: how many times as many speakers as there are, are drawn with replacement.
        level: share of the resampled numbers inside the interval.

    Returns:
        Lower and upper ends, each in the statistic's shape; NaN where no draw gave a number.

    Raises:
        InputError: no clip, or a statistic that refuses even the clips as they are.
    """
    if not speakers:
        raise InputError("speakers: at least one clip is needed")
    names = [speaker or f"\0{index}" for index, speaker in enumerate(speakers)]
    _, owner = np.unique(np.array(names), return_inverse=True)
    size = int(owner.max()) + 1
    values = np.full((resamples, *np.shape(statistic(np.ones(len(owner))))), np.nan)
    for index in range(resamples):
        drawn = np.bincount(rng.integers(size, size=size), minlength=size)
        # A draw may leave out every positive or negative trial of a small list.
        with contextlib.suppress(InputError):
            values[index] = statistic(drawn[owner].astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a number that never was one stays NaN
        low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _target_clips(scores: Floats, targets: Ints, weights: Floats | None) -> tuple[Ints, Ints, Floats]:
    """The best keyword, the right keyword and the weight of each target clip."""
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise InputError(f"scores {scores.shape}, targets {targets.shape}: expected (n, k) and (n,)")
    if np.isnan(scores).any():
        raise InputError("scores: not a number among them")
    target = targets >= 0
    counts = np.ones(len(targets)) if weights is None else weights
    if not counts[target].any():
        raise InputError("targets: not one clip of any keyword")
    return scores[target].argmax(axis=1), targets[target], counts[target]


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise InputError(f"{share}: a share lies between 0 and 1; write 2.5 % as 0.025")
