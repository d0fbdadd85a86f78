"""Which target a test clip is taken for, or none: scores of a back-end, against an unknown cluster or a threshold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.evaluation import backends
from earmark.evaluation.embedders import stacked
from earmark.evaluation.protocols.open_set.lists import OpenSetLists
from earmark.evaluation.protocols.trials import TrialClip
from earmark.evaluation.svm import Svm, scale, unit

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Backend = Literal["centroid", "prototype", "best-take", "svm", "classifier"]
Unknown = Literal["cluster", "threshold"]

FOLDS = 5
C_GRID = (0.1, 1.0, 10.0, 100.0)
GAMMA_GRID = (0.25, 1.0, 4.0)  # times `svm.scale`


@dataclass(frozen=True)
class Head:
    """A trained softmax layer.

    Attributes:
        classify: vectors, shape (n, d), to logits, shape (n, classes).
        classes: labels in the order of the columns, spaces or `_` between words; all that are no target stand for
            unknown.
    """

    classify: Callable[[Floats], Floats | None]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ScoredOpenSet:
    """What was decided about the test clips.

    Attributes:
        lists: what was tested.
        backend: how classes gave scores.
        unknown: how the unknown were told.
        scores: shape (n, k), each test clip against each of `lists.classes`.
        decisions: shape (n,), the class that the clip is taken for; k for unknown.
        threshold: below which a best score is refused; None with an unknown cluster.
        svm: settings of the machines, where there are any.
    """

    lists: OpenSetLists
    backend: Backend
    unknown: Unknown
    scores: Floats
    decisions: Ints
    threshold: float | None
    svm: Svm | None

    @property
    def truth(self) -> Ints:
        """Which class each test clip is of, shape (n,); k for unknown."""
        return self.lists.truth(self.lists.test)


def score(
    lists: OpenSetLists,
    vectors: Mapping[str, Floats],
    *,
    backend: Backend = "centroid",
    unknown: Unknown = "cluster",
    svm: Svm | None = None,
    head: Head | None = None,
    speakers: Mapping[str, str] | None = None,
    seed: int = 0,
) -> ScoredOpenSet:
    """Decide about every test clip.

    Args:
        lists: what is learned and tested.
        vectors: shape (d,) each, by path; every path that the lists name.
        backend: how classes give scores: as `backends.score` has it, fitted on the training clips; or `classifier`,
            the log-probabilities of a trained head.
        unknown: `cluster`: all that is no target is one more class (the centroid of all other training clips, a machine
            of its own, the best of the head's other classes), and the highest score wins; `threshold`: the best target
            wins if its score reaches a threshold. It is the one with the highest total accuracy at 1:1 on the
            validation clips, or else on training clips by speakers and of unknown words that were left out of the fit,
            fold by fold. Never on the test.
        svm: settings of the machines.
        head: for `classifier`.
        speakers: speaker by path; a fold holds all clips of a speaker. A path without one stands for itself.
        seed: of the folds.

    Raises:
        InputError: a path without a vector, a back-end that lacks what it needs, or no training clip of an unknown.
    """
    machines = (svm or Svm()) if backend == "svm" else None
    rate = _rater(lists, vectors, backend, unknown, machines, head)
    scores, others = rate(lists.train, lists.test)
    threshold = None
    if unknown == "threshold":
        clips, held_out, _ = _held_out(lists, rate, speakers, seed, is_fitted=backend != "classifier")
        threshold = best_threshold(held_out, lists.truth(clips))
    return ScoredOpenSet(lists, backend, unknown, scores, _decided(scores, others, threshold), threshold, machines)


def search_svm(
    lists: OpenSetLists,
    vectors: Mapping[str, Floats],
    *,
    unknown: Unknown = "cluster",
    svm: Svm | None = None,
    speakers: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Svm:
    """The c and gamma with the highest total accuracy at 1:1 on validation clips, or else on folds of the training.

    Args:
        lists: what is learned; the test is not looked at.
        vectors: by path.
        unknown: as `score`.
        svm: the settings that are not searched.
        speakers: speaker by path, for the folds.
        seed: of the folds.

    Returns:
        The first of equals, smallest c first.
    """
    svm = svm or Svm()
    rows = stacked(lists.train, vectors)
    width = scale(unit(rows) if svm.unit_rows else rows)

    def total(settings: Svm) -> float:
        rate = _rater(lists, vectors, "svm", unknown, settings, None)
        clips, scores, others = _held_out(lists, rate, speakers, seed, is_fitted=True)
        truth = lists.truth(clips)
        decisions = _decided(scores, others, best_threshold(scores, truth) if unknown == "threshold" else None)
        is_target = truth < len(lists.classes)
        return float(((decisions == truth)[is_target].mean() + (decisions == truth)[~is_target].mean()) / 2)

    return max((replace(svm, c=c, gamma=times * width) for c, times in product(C_GRID, GAMMA_GRID)), key=total)


def best_threshold(scores: Floats, truth: Ints) -> float:
    """The threshold with the highest total accuracy at 1:1, midway between the scores on its two sides.

    Args:
        scores: shape (n, k).
        truth: shape (n,), the class of each clip, k for unknown.

    Raises:
        InputError: no clip of a target, or none of an unknown.

    >>> best_threshold(np.array([[0.9, 0.1], [0.2, 0.7], [0.4, 0.5], [0.1, 0.2]]), np.array([0, 1, 2, 2]))
    0.6
    """
    order = np.argsort(-scores.max(axis=1), kind="stable")
    best, is_target = scores.max(axis=1)[order], (truth < scores.shape[1])[order]
    right = (scores.argmax(axis=1) == truth)[order]
    targets, unknowns = int(is_target.sum()), int((~is_target).sum())
    if not targets or not unknowns:
        raise InputError("threshold: clips of targets and of unknowns are needed to choose it; see train.txt, val.txt")
    # Total accuracy where the first 0, 1, … n clips are accepted; clips with one score are accepted together.
    total = np.append(0, right.cumsum()) / targets + 1 - np.append(0, (~is_target).cumsum()) / unknowns
    total[1:-1][best[1:] == best[:-1]] = -np.inf
    accepted = int(np.argmax(total))
    if accepted == 0:
        return float(np.nextafter(best[0], np.inf))
    return float(best[accepted - 1 : accepted + 1].mean())


_Rated = tuple[Floats, Floats | None]
"""Scores of clips × classes, and the scores of their being unknown, where that is a class."""
_Rater = Callable[[Sequence[TrialClip], Sequence[TrialClip]], _Rated]
"""From clips to fit and clips to rate."""


def _rater(
    lists: OpenSetLists,
    vectors: Mapping[str, Floats],
    backend: Backend,
    unknown: Unknown,
    svm: Svm | None,
    head: Head | None,
) -> _Rater:
    def rate(fitted: Sequence[TrialClip], rated: Sequence[TrialClip]) -> _Rated:
        queries = stacked(rated, vectors)
        if backend == "classifier":
            return _log_probabilities(lists, queries, head, unknown)
        rows, owners = stacked(fitted, vectors), lists.truth(fitted)
        is_unknown = owners == len(lists.classes)
        if not is_unknown.any():
            raise InputError("train list: no clip outside the targets; add words that shall be refused")
        if unknown == "cluster":
            scores = backends.score(queries, rows, owners, backend=backend, svm=svm)
            return scores[:, :-1], scores[:, -1]
        background = rows[is_unknown]
        scores = backends.score(
            queries, rows[~is_unknown], owners[~is_unknown], backend=backend, background=background, svm=svm
        )
        return scores, None

    return rate


def _log_probabilities(lists: OpenSetLists, queries: Floats, head: Head | None, unknown: Unknown) -> _Rated:
    logits = None if head is None else head.classify(queries)
    if head is None or logits is None:
        raise InputError("classifier: this encoder has no trained classes; choose another back-end")
    column = {listed_label(label): number for number, label in enumerate(head.classes)}
    if missing := [label for label in lists.classes if label not in column]:
        raise InputError(f"classifier: trained without target {missing[0]!r}; it has {', '.join(head.classes)}")
    logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scores = logits[:, [column[label] for label in lists.classes]]
    if unknown == "threshold":
        return scores, None
    others = [number for label, number in column.items() if label not in lists.classes]
    if not others:
        raise InputError("classifier: trained on targets alone; choose how to refuse: --unknown threshold")
    return scores, logits[:, others].max(axis=1)


def _held_out(
    lists: OpenSetLists, rate: _Rater, speakers: Mapping[str, str] | None, seed: int, *, is_fitted: bool
) -> tuple[tuple[TrialClip, ...], Floats, Floats | None]:
    """Clips that are not of the test, and how a back-end rates them that was not fitted on them.

    What was trained before, such as a head, is not fitted here: it rates all training clips.
    """
    if lists.validation or not is_fitted:
        clips = lists.validation or lists.train
        return clips, *rate(lists.train, clips)
    parts = [
        (rated, rate([lists.train[row] for row in fitted], [lists.train[row] for row in rated]))
        for fitted, rated in _folds(lists, speakers or {}, seed)
    ]
    clips = tuple(lists.train[row] for rows, _ in parts for row in rows)
    scores = np.concatenate([rated[0] for _, rated in parts])
    others = [rated[1] for _, rated in parts if rated[1] is not None]
    return clips, scores, np.concatenate(others) if others else None


def _folds(lists: OpenSetLists, speakers: Mapping[str, str], seed: int) -> list[tuple[Ints, Ints]]:
    """Rows of the training list to fit and to rate, five times: other speakers, and other unknown words.

    Unknown words that were fitted would choose for seen unknowns alone. A training list with one unknown label, such as
    `_unknown_`, leaves no choice.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    # A path that stands in the list several times is one clip and belongs in one fold.
    groups = [speakers.get(clip.path) or f"\0{clip.path}" for clip in lists.train]
    truth = lists.truth(lists.train)
    size = min(FOLDS, *(len({groups[row] for row in np.flatnonzero(truth == number)}) for number in np.unique(truth)))
    cure = "of more speakers in train.txt, or a val.txt, are needed to choose on"
    if size < 2:
        raise InputError(f"train list: clips of each class {cure}")
    words = sorted({clip.label for clip in lists.train}.difference(lists.classes))
    np.random.default_rng(seed).shuffle(words)
    turn = {word: number % size for number, word in enumerate(words)} if len(words) > 1 else {}
    turns = np.array([turn.get(clip.label, -1) for clip in lists.train])  # -1: any fold
    found = []
    folds = StratifiedGroupKFold(size, shuffle=True, random_state=seed).split(truth, truth, groups)
    for number, (fitted, rated) in enumerate(folds):
        fitted, rated = fitted[turns[fitted] != number], rated[np.isin(turns[rated], (number, -1))]
        if absent := sorted(set(truth) - set(truth[fitted])):
            name = (*lists.classes, "unknown")[absent[0]]
            raise InputError(f"train list: clips of {name!r} {cure}")
        if len(rated):
            found.append((fitted, rated))
    return found


def _decided(scores: Floats, others: Floats | None, threshold: float | None) -> Ints:
    """The best class of each clip, shape (n,); k where unknown scores higher still, or the best too low."""
    bar = threshold if others is None else others
    # At the threshold a clip is accepted; a tie with unknown goes to the target too.
    return np.where(scores.max(axis=1) >= bar, scores.argmax(axis=1), scores.shape[1])
