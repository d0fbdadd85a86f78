"""The few-shot protocol: enroll keywords from a few clips, score every test clip against every keyword.

`score_vectors` compares vectors that somebody has embedded. `score_clips` embeds each clip once, whatever the number of
lists, with any function from a wave to a vector. `score_streams` runs what users run: `enroll` on the takes and a
`Detector` over each test clip. All give `ScoredPair`s; `compute_metrics` turns those into numbers.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.audio import Wave
from earmark.core.errors import InputError
from earmark.evaluation import backends, metrics
from earmark.evaluation.backends import Backend
from earmark.evaluation.confusion import Confusion, count_confusion
from earmark.evaluation.embedders import Embed, Progress, embed_clips, silent, stacked
from earmark.evaluation.protocols.trials import ListPair, TrialClip, every_path
from earmark.evaluation.svm import Svm

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.spotting.keyword import Keyword

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

FARS = (0.1, 0.025, 0.01)
IMPOSTOR_SHARES = (0.05, 0.01)


@dataclass(frozen=True)
class ScoredPair:
    """The scores of a pair of lists.

    Attributes:
        pair: the lists.
        scores: shape (n, k): the test clips of `pair` in their order × its keywords in theirs.
    """

    pair: ListPair
    scores: Floats

    @property
    def targets(self) -> Ints:
        """Which keyword each test clip says, shape (n,); -1 for an impostor."""
        return _indices(self.pair.test, self.pair.keywords)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Where the clip says the keyword, shape (n, k)."""
        return self.targets[:, None] == np.arange(len(self.pair.keywords))


Scored = dict[str, tuple[ScoredPair, ...]]
"""By condition."""


@dataclass(frozen=True)
class ListResult:
    """What one pair of lists gave.

    Attributes:
        name: of the pair, such as `k5_s0`.
        keywords: how many.
        takes: enrollment clips in all.
        clips: test clips.
        impostors: those of them that say no keyword.
        numbers: rates in [0, 1] by name, see `METRICS`.
    """

    name: str
    keywords: int
    takes: int
    clips: int
    impostors: int
    numbers: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """A number over the lists of one condition.

    Attributes:
        mean: over the lists.
        sd: sample standard deviation over the lists; NaN for one list.
        low: lower end of the 95 % interval of the mean over test speakers; NaN where speakers are not known.
        high: upper end.
    """

    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class ConditionResult:
    """What the lists of one condition gave together."""

    name: str
    lists: tuple[ListResult, ...]
    numbers: dict[str, Spread]


def score_vectors(
    conditions: Mapping[str, tuple[ListPair, ...]],
    vectors: Mapping[str, Floats],
    *,
    backend: Backend = "prototype",
    background: Floats | None = None,
    svm: Svm | None = None,
) -> Scored:
    """Score clips by their vectors.

    Args:
        conditions: from `trials.find_pairs`.
        vectors: shape (d,) each, by path; every path that the lists name, see `trials.every_path`.
        backend: how a keyword's takes give a score, see `backends.score`.
        background: shape (b, d), clips that say no keyword and test nothing; the negatives of `svm` beside the takes
            of other keywords.
        svm: settings of the machines.

    Raises:
        InputError: a path without a vector; or `svm` with one keyword and no background.
    """

    def scored(pair: ListPair) -> ScoredPair:
        return ScoredPair(
            pair,
            backends.score(
                stacked(pair.test, vectors),
                stacked(pair.enrollment, vectors),
                _indices(pair.enrollment, pair.keywords),
                backend=backend,
                background=background,
                svm=svm,
            ),
        )

    return {condition: tuple(scored(pair) for pair in pairs) for condition, pairs in conditions.items()}


def score_clips(
    conditions: Mapping[str, tuple[ListPair, ...]],
    folder: Path,
    embed: Embed,
    *,
    backend: Backend = "prototype",
    progress: Progress = silent,
) -> Scored:
    """Score whole clips: each is one vector.

    Args:
        conditions: from `trials.find_pairs`.
        folder: of the corpus; the lists' paths are relative to it.
        embed: wave, shape (samples,), to vector, shape (d,), of any length.
        backend: how a keyword's takes give a score.
        progress: told after each clip.

    Raises:
        InputError: a clip that cannot be read, or that `embed` gives numbers for that are not finite.
    """

    def embed_one(waves: Sequence[Wave]) -> Floats:
        return np.stack([embed(wave) for wave in waves])

    vectors = embed_clips(every_path(conditions), folder, embed_one, at_once=1, progress=progress)
    return score_vectors(conditions, vectors, backend=backend)


def score_streams(
    conditions: Mapping[str, tuple[ListPair, ...]],
    folder: Path,
    encoder: "Encoder",
    *,
    progress: Progress = silent,
) -> Scored:
    """Score what users get: takes go through `enroll`, a clip's score is the maximum of `Detector.scores` over it.

    Each clip runs once, against the keywords of all lists that test it.

    Args:
        conditions: from `trials.find_pairs`.
        folder: of the corpus.
        encoder: enrolls and detects.
        progress: told after each test clip.

    Raises:
        InputError: a clip that cannot be read, or a list without one take that `enroll` accepts.

    Warns:
        UserWarning: for each take that `enroll` refuses. It is left out; a keyword without takes scores -1 everywhere.
    """
    from earmark.spotting.detector import Detector

    pairs = [pair for group in conditions.values() for pair in group]
    enrolled = {pair.name: _enrolled(pair, folder, encoder) for pair in pairs}
    scores = {pair.name: np.full((len(pair.test), len(pair.keywords)), -1.0, np.float32) for pair in pairs}
    tests: dict[str, list[tuple[ListPair, int]]] = {}
    for pair in pairs:
        for row, clip in enumerate(pair.test):
            tests.setdefault(clip.path, []).append((pair, row))
    detectors: dict[tuple[str, ...], Detector] = {}
    for done, (path, places) in enumerate(tests.items(), start=1):
        names = tuple(pair.name for pair, _ in places)
        if names not in detectors:
            detectors[names] = Detector([keyword for name in names for keyword in enrolled[name]], encoder=encoder)
        detector = detectors[names]
        best = detector.scores(audio.read(folder / path))[1].max(axis=0, initial=-1)
        found = {keyword.name: score for keyword, score in zip(detector.keywords, best, strict=True)}
        for pair, row in places:
            scores[pair.name][row] = [found.get(_title(pair, label), -1.0) for label in pair.keywords]
        progress(done, len(tests))
    return {
        condition: tuple(ScoredPair(pair, scores[pair.name]) for pair in group)
        for condition, group in conditions.items()
    }


def compute_metrics(
    scored: Scored, *, speakers: Mapping[str, str] | None = None, rng: np.random.Generator | None = None
) -> tuple[ConditionResult, ...]:
    """Every number for every list, and its spread over the lists of a condition.

    Args:
        scored: from `score_clips` or `score_streams`.
        speakers: speaker by path; with `rng`, gives the intervals. A path without one stands for itself.
        rng: draws speakers for the intervals; None leaves the intervals out.
    """
    return tuple(_measure_condition(name, pairs, speakers, rng) for name, pairs in scored.items())


def confusion(pairs: tuple[ScoredPair, ...]) -> Confusion:
    """Closed set: which keyword the target clips of a condition's lists were taken for, all lists together."""
    words = tuple(sorted({word for scored in pairs for word in scored.pair.keywords}))
    said, taken = [], []
    for scored in pairs:
        places = np.array([words.index(word) for word in scored.pair.keywords])
        is_target = scored.targets >= 0
        said.append(places[scored.targets[is_target]])
        taken.append(places[scored.scores[is_target].argmax(axis=1)])
    return count_confusion(words, words, np.concatenate(said), np.concatenate(taken))


def _percent(share: float) -> str:
    """As part of a name: 0.025 is 2_5."""
    return f"{100 * share:g}".replace(".", "_")


METRICS = {
    "accuracy": "closed-set accuracy",
    "f1": "macro F1",
    "auc": "AUC",
    "eer": "EER",
    "eer_at_point": "EER as Jung et al. take it",
    **{f"frr_at_far_{_percent(far)}": f"FRR at FAR {far * 100:g} %" for far in FARS},
    **{f"frr_at_point_{_percent(far)}": f"FRR at FAR {far * 100:g} % as Jung et al. take it" for far in FARS},
    **{
        f"identification_{_percent(share)}": f"right and accepted with {share * 100:g} % of impostors let in"
        for share in IMPOSTOR_SHARES
    },
    "min_dcf": "minDCF (prior 0.05)",
}
"""What is measured: key in the results and what it says."""


def _numbers_of(scored: ScoredPair) -> Callable[[Floats | None], dict[str, float]]:
    """A function of the weights of the test clips. Trials are sorted once for all of them."""
    order = np.argsort(-scored.scores, axis=None)
    sorted_scores, positive = scored.scores.ravel()[order], scored.positive.ravel()[order]
    clips = order // len(scored.pair.keywords)
    scores, targets = scored.scores, scored.targets

    def numbers(weights: Floats | None) -> dict[str, float]:
        curve = metrics.error_curve(sorted_scores, positive, None if weights is None else weights[clips])
        values = [
            metrics.accuracy(scores, targets, weights),
            metrics.macro_f1(scores, targets, weights),
            metrics.area_under_curve(curve),
            metrics.equal_error_rate(curve),
            metrics.equal_error_rate_at_point(curve),
            *(metrics.frr_at_far(curve, far) for far in FARS),
            *(metrics.frr_at_point(curve, far) for far in FARS),
            *(metrics.open_set_identification(scores, targets, share, weights) for share in IMPOSTOR_SHARES),
            metrics.min_dcf(curve),
        ]
        return dict(zip(METRICS, values, strict=True))

    return numbers


def _measure_condition(
    name: str, pairs: tuple[ScoredPair, ...], speakers: Mapping[str, str] | None, rng: np.random.Generator | None
) -> ConditionResult:
    functions = [_numbers_of(scored) for scored in pairs]
    lists = tuple(_list_result(scored, numbers(None)) for scored, numbers in zip(pairs, functions, strict=True))
    values = np.array([list(result.numbers.values()) for result in lists])
    low = high = np.full(len(METRICS), np.nan)
    if speakers and rng is not None:
        paths = sorted({clip.path for scored in pairs for clip in scored.pair.test})
        place = {path: index for index, path in enumerate(paths)}
        rows = [np.array([place[clip.path] for clip in scored.pair.test]) for scored in pairs]

        def mean_over_lists(weights: Floats) -> Floats:
            # The lists of a condition share their voices: one draw of speakers weighs all of them.
            drawn = [numbers(weights[own]) for numbers, own in zip(functions, rows, strict=True)]
            return np.mean([list(one.values()) for one in drawn], axis=0)

        low, high = metrics.interval_over_speakers(mean_over_lists, [speakers.get(path, "") for path in paths], rng)
    sd = values.std(axis=0, ddof=1) if len(lists) > 1 else np.full(len(METRICS), np.nan)
    spreads = np.stack([values.mean(axis=0), sd, low, high], axis=1)
    return ConditionResult(name, lists, {key: Spread(*row) for key, row in zip(METRICS, spreads.tolist(), strict=True)})


def _list_result(scored: ScoredPair, numbers: dict[str, float]) -> ListResult:
    pair = scored.pair
    impostors = int((scored.targets < 0).sum())
    return ListResult(pair.name, len(pair.keywords), len(pair.enrollment), len(pair.test), impostors, numbers)


def _title(pair: ListPair, label: str) -> str:
    """One Detector listens for the keywords of several lists; the name must tell them apart."""
    return f"{pair.name}/{label}"


def _enrolled(pair: ListPair, folder: Path, encoder: "Encoder") -> "list[Keyword]":
    from earmark.spotting.enrollment import enroll
    from earmark.spotting.takes import EnrollmentError

    def keyword(label: str, paths: list[str]) -> "Keyword":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the lists are fixed: nobody can say a take again
            waves = [audio.read(folder / path) for path in paths]
            return enroll(_title(pair, label), waves, encoder=encoder, sources=paths)

    enrolled = []
    for label in pair.keywords:
        paths = [clip.path for clip in pair.enrollment if clip.label == label]
        try:
            enrolled.append(keyword(label, paths))
        except EnrollmentError:
            usable = []
            for path in paths:
                try:
                    keyword(label, [path])
                except EnrollmentError as error:
                    warnings.warn(f"list {pair.name}, keyword {label}, left out: {error}", stacklevel=3)
                else:
                    usable.append(path)
            if usable:
                enrolled.append(keyword(label, usable))
    if not enrolled:
        raise InputError(f"list {pair.name}: not one take can be enrolled")
    return enrolled


def _indices(clips: tuple[TrialClip, ...], keywords: tuple[str, ...]) -> Ints:
    index = {keyword: number for number, keyword in enumerate(keywords)}
    return np.array([index.get(clip.label, -1) for clip in clips])
