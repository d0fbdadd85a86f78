"""Decide whether each clip of an open-set test is a target or unknown, by an unknown cluster or by a threshold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, Self, TypedDict

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from earmark.core.config import Settings
from earmark.core.errors import InputError, needs
from earmark.core.vectors import unit
from earmark.data.lists.clip_lists import listed_label
from earmark.evaluation import backends
from earmark.evaluation.embedders import stacked
from earmark.evaluation.protocols.open_set.lists import OpenSetLists
from earmark.evaluation.protocols.trials import TrialClip
from earmark.evaluation.svm import SvmSettings, scale

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Backend = Literal["centroid", "prototype", "best-take", "svm", "classifier"]
Unknown = Literal["cluster", "threshold"]

FOLDS = 5
C_GRID = (0.1, 1.0, 10.0, 100.0)
GAMMA_GRID = (0.25, 1.0, 4.0)  # times `svm.scale`


class OpenSetSettings(Settings):
    """Settings of an open-set evaluation."""

    targets: tuple[str, ...] = Field(min_length=1, description="Words to recognize; all other words are unknown.")
    backend: Backend = Field(
        "centroid",
        description="Compare with the plain mean of a class's training clips, the mean of their unit embeddings, or "
        "the nearest clip; or use one RBF-SVM per class, or the classes that a checkpoint was trained on.",
    )
    unknown: Unknown = Field(
        "cluster",
        description="Cluster: all other training words form one more class; threshold: scores below a threshold are "
        "rejected, which is chosen on val.txt or on folds of train.txt.",
    )
    svm: SvmSettings = SvmSettings()
    svm_search: bool = Field(False, description="Choose c and gamma on val.txt or on folds of train.txt (svm).")
    seed: int = Field(0, description="Seed of the folds, of the bootstrap over speakers, and of the projection.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.backend != "svm" and (self.svm_search or self.svm != SvmSettings()):
            raise InputError(
                "svm settings are given, but the backend is another one; choose svm, or drop these settings",
                key="backend",
            )
        return self


@dataclass(frozen=True)
class Head:
    """The trained softmax layer of an encoder.

    Attributes:
        classify: maps embeddings, shape (n, d), to logits, shape (n, classes); None if the encoder has no classifier.
        classes: labels in the order of the columns, with spaces or `_` between words; all labels but the targets
            count as unknown.
    """

    classify: Callable[[Floats], Floats | None]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ScoredOpenSet:
    """Scores and decisions of the test clips.

    Attributes:
        lists: the tested lists.
        backend: scoring back-end.
        unknown: how unknown words are rejected.
        scores: test clips × `lists.classes`, shape (n, k).
        decisions: index of each test clip's predicted class, shape (n,); k for unknown.
        threshold: lowest accepted score; None with an unknown cluster.
        svm: settings of the SVMs; None for other back-ends.
    """

    lists: OpenSetLists
    backend: Backend
    unknown: Unknown
    scores: Floats
    decisions: Ints
    threshold: float | None
    svm: SvmSettings | None

    @property
    def truth(self) -> Ints:
        """Index of each test clip's class, shape (n,); the number of classes for an unknown word."""
        return self.lists.truth(self.lists.test)


class ScoreOptions(TypedDict, total=False):
    """Options that `score` and `compute_metrics` share; `score` describes them and has their defaults."""

    backend: Backend
    unknown: Unknown
    svm: SvmSettings | None
    head: Head | None


def score(
    lists: OpenSetLists,
    vectors: Mapping[str, Floats],
    *,
    backend: Backend = "centroid",
    unknown: Unknown = "cluster",
    svm: SvmSettings | None = None,
    head: Head | None = None,
    speakers: Mapping[str, str] | None = None,
    seed: int = 0,
) -> ScoredOpenSet:
    """Score every test clip against the targets, and decide whether it is a target or unknown.

    Args:
        lists: training and test clips.
        vectors: embeddings, shape (d,), by path; for every path of the lists.
        backend: scoring back-end: as in `backends.score`, fitted on the training clips; or `classifier`, the
            log-probabilities of a trained head.
        unknown: `cluster`: unknown is one more class (the centroid of all other training clips, an SVM, or the best of
            the head's other classes), and the highest score wins; `threshold`: the best target wins if its score
            reaches a threshold. The threshold has the highest total accuracy at 1:1 (the mean of the accuracies of
            targets and of unknowns) on the validation clips. Without validation clips, it is chosen on folds of the
            training clips, whose speakers and unknown words were not fitted. It never depends on the test clips.
        svm: settings of the SVMs.
        head: the trained softmax layer, for `classifier`.
        speakers: speaker by path; all clips of a speaker are in one fold. A path without speaker counts as a speaker
            of its own.
        seed: seed of the folds.

    Raises:
        InputError: a path has no embedding, the back-end cannot score a target, or no training clip is unknown.
    """
    svms = (svm or SvmSettings()) if backend == "svm" else None
    rate = _rater(lists, vectors, backend, unknown, svms, head)
    scores, others = rate(lists.train, lists.test)
    threshold = None
    if unknown == "threshold":
        clips, held_out, _ = _held_out(lists, rate, speakers, seed, is_fitted=backend != "classifier")
        threshold = best_threshold(held_out, lists.truth(clips))
    return ScoredOpenSet(lists, backend, unknown, scores, _decided(scores, others, threshold), threshold, svms)


def search_svm(
    lists: OpenSetLists,
    vectors: Mapping[str, Floats],
    *,
    unknown: Unknown = "cluster",
    svm: SvmSettings | None = None,
    speakers: Mapping[str, str] | None = None,
    seed: int = 0,
    c_grid: Sequence[float] = C_GRID,
    gamma_grid: Sequence[float] = GAMMA_GRID,
) -> SvmSettings:
    """Choose c and gamma by the total accuracy at 1:1 on validation clips, or on folds of the training clips.

    Args:
        lists: training clips; the test clips are not used.
        vectors: embeddings by path.
        unknown: as in `score`.
        svm: all other settings of the SVMs.
        speakers: speaker by path, for the folds.
        seed: seed of the folds.
        c_grid: values of c to try, ascending.
        gamma_grid: factors to try; gamma is a factor times `svm.scale`.

    Returns:
        The best settings; of equally good ones, the first in ascending order of c.
    """
    svm = svm or SvmSettings()
    rows = stacked(lists.train, vectors)
    width = scale(unit(rows) if svm.unit_rows else rows)

    def total(settings: SvmSettings) -> float:
        rate = _rater(lists, vectors, "svm", unknown, settings, None)
        clips, scores, others = _held_out(lists, rate, speakers, seed, is_fitted=True)
        truth = lists.truth(clips)
        decisions = _decided(scores, others, best_threshold(scores, truth) if unknown == "threshold" else None)
        is_target = truth < len(lists.classes)
        return float(((decisions == truth)[is_target].mean() + (decisions == truth)[~is_target].mean()) / 2)

    grid = [svm.model_copy(update={"c": c, "gamma": times * width}) for c, times in product(c_grid, gamma_grid)]
    return max(grid, key=total)


def best_threshold(scores: Floats, truth: Ints) -> float:
    """The threshold with the highest total accuracy at 1:1, midway between the two scores next to it.

    Args:
        scores: shape (n, k).
        truth: class of each clip, k for unknown, shape (n,).

    Raises:
        InputError: there is no clip of a target, or none of an unknown.

    >>> best_threshold(np.array([[0.9, 0.1], [0.2, 0.7], [0.4, 0.5], [0.1, 0.2]]), np.array([0, 1, 2, 2]))
    0.6
    """
    order = np.argsort(-scores.max(axis=1), kind="stable")
    best, is_target = scores.max(axis=1)[order], (truth < scores.shape[1])[order]
    right = (scores.argmax(axis=1) == truth)[order]
    targets, unknowns = int(is_target.sum()), int((~is_target).sum())
    if not targets or not unknowns:
        raise InputError("threshold: its choice needs clips of targets and of unknown words; add both to train.txt")
    # Total accuracy if the 0, 1, … n best clips are accepted; clips with equal scores are accepted together.
    total = np.append(0, right.cumsum()) / targets + 1 - np.append(0, (~is_target).cumsum()) / unknowns
    total[1:-1][best[1:] == best[:-1]] = -np.inf
    accepted = int(np.argmax(total))
    if accepted == 0:
        return float(np.nextafter(best[0], np.inf))
    return float(best[accepted - 1 : accepted + 1].mean())


_Rated = tuple[Floats, Floats | None]
"""Scores of clips × classes, and scores of the unknown class where there is one."""
_Rater = Callable[[Sequence[TrialClip], Sequence[TrialClip]], _Rated]
"""Called with clips to fit and clips to score."""


def _rater(
    lists: OpenSetLists,
    vectors: Mapping[str, Floats],
    backend: Backend,
    unknown: Unknown,
    svm: SvmSettings | None,
    head: Head | None,
) -> _Rater:
    def rate(fitted: Sequence[TrialClip], rated: Sequence[TrialClip]) -> _Rated:
        queries = stacked(rated, vectors)
        if backend == "classifier":
            return _log_probabilities(lists, queries, head, unknown)
        rows, class_ids = stacked(fitted, vectors), lists.truth(fitted)
        is_unknown = class_ids == len(lists.classes)
        if not is_unknown.any():
            raise InputError("train list: no clip outside the targets; add clips of unknown words")
        if unknown == "cluster":
            scores = backends.score(queries, rows, class_ids, backend=backend, svm=svm)
            return scores[:, :-1], scores[:, -1]
        background = rows[is_unknown]
        scores = backends.score(
            queries, rows[~is_unknown], class_ids[~is_unknown], backend=backend, background=background, svm=svm
        )
        return scores, None

    return rate


def _log_probabilities(lists: OpenSetLists, queries: Floats, head: Head | None, unknown: Unknown) -> _Rated:
    logits = None if head is None else head.classify(queries)
    if head is None or logits is None:
        raise InputError("backend classifier: this encoder has no trained classes; choose another back-end")
    column = {listed_label(label): number for number, label in enumerate(head.classes)}
    if missing := [label for label in lists.classes if label not in column]:
        raise InputError(
            f"backend classifier: the encoder was trained without target {missing[0]!r}; choose targets from"
            f" {', '.join(head.classes)}"
        )
    logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scores = logits[:, [column[label] for label in lists.classes]]
    if unknown == "threshold":
        return scores, None
    others = [number for label, number in column.items() if label not in lists.classes]
    if not others:
        raise InputError("backend classifier: the encoder was trained on targets only; set unknown = 'threshold'")
    return scores, logits[:, others].max(axis=1)


def _held_out(
    lists: OpenSetLists, rate: _Rater, speakers: Mapping[str, str] | None, seed: int, *, is_fitted: bool
) -> tuple[tuple[TrialClip, ...], Floats, Floats | None]:
    """Validation or training clips, and their scores by a back-end that was not fitted on them.

    A trained head (`is_fitted` is False) is not fitted here, so that it scores all training clips at once.
    """
    if lists.validation or not is_fitted:
        clips = lists.validation or lists.train
        return clips, *rate(lists.train, clips)
    parts = [
        (rated, rate([lists.train[row] for row in fitted], [lists.train[row] for row in rated]))
        for fitted, rated in folds(lists, speakers or {}, seed)
    ]
    clips = tuple(lists.train[row] for rows, _ in parts for row in rows)
    scores = np.concatenate([rated[0] for _, rated in parts])
    others = [rated[1] for _, rated in parts if rated[1] is not None]
    return clips, scores, np.concatenate(others) if others else None


def folds(lists: OpenSetLists, speakers: Mapping[str, str], seed: int) -> list[tuple[Ints, Ints]]:
    """Split the training list into at most five folds; each has other speakers and other unknown words than its rest.

    A threshold chosen on fitted unknown words would favor seen unknowns. A training list with only one unknown label,
    such as `_unknown_`, is divided by speakers alone.

    Returns:
        For each fold, the rows of the training list to fit, and the rows to score.
    """
    with needs("evaluate"):
        from sklearn.model_selection import StratifiedGroupKFold

    # All lines with the same path are one clip, which belongs in one fold.
    groups = [speakers.get(clip.path) or f"\0{clip.path}" for clip in lists.train]
    truth = lists.truth(lists.train)
    size = min(FOLDS, *(len({groups[row] for row in np.flatnonzero(truth == number)}) for number in np.unique(truth)))
    cure = "by more speakers, to choose the threshold; add clips to train.txt, or add a val.txt"
    if size < 2:
        raise InputError(f"train list: each class needs clips {cure}")
    words = sorted({clip.label for clip in lists.train}.difference(lists.classes))
    np.random.default_rng(seed).shuffle(words)
    turn = {word: number % size for number, word in enumerate(words)} if len(words) > 1 else {}
    turns = np.array([turn.get(clip.label, -1) for clip in lists.train])  # -1: any fold
    found = []
    shuffled = StratifiedGroupKFold(size, shuffle=True, random_state=seed).split(truth, truth, groups)
    for number, (fitted, rated) in enumerate(shuffled):
        fitted, rated = fitted[turns[fitted] != number], rated[np.isin(turns[rated], (number, -1))]
        if absent := sorted(set(truth) - set(truth[fitted])):
            name = (*lists.classes, "unknown")[absent[0]]
            raise InputError(f"train list: {name!r} needs clips {cure}")
        if len(rated):
            found.append((fitted, rated))
    return found


def _decided(scores: Floats, others: Floats | None, threshold: float | None) -> Ints:
    """Index of each clip's best class, shape (n,); the number k of classes if the clip is rejected as unknown.

    A clip is rejected if its score in `others`, for the unknown class, is higher than all scores of classes or, without
    `others`, if all scores are below the threshold.
    """
    lowest = threshold if others is None else others
    # A score equal to the threshold is accepted; a tie with the unknown class goes to the target.
    return np.where(scores.max(axis=1) >= lowest, scores.argmax(axis=1), scores.shape[1])
