"""The few-shot protocol: enroll keywords from a few clips, score every test clip against every keyword.

`score_vectors` compares embeddings. `score_clips` embeds each clip once with any function from a waveform to a vector,
and compares the vectors. `score_streams` calls `enroll` with the takes and runs a `Detector` over each test clip, as
users do. All return `ScoredPair`s by condition; `compute_metrics` computes their metrics.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from earmark import audio
from earmark.core.audio import Wave
from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.core.progress import Progress, follow, no_progress
from earmark.evaluation import backends, metrics
from earmark.evaluation.backends import Backend
from earmark.evaluation.confusion import Confusion, count_confusion
from earmark.evaluation.embedders import Embed, embed_clips, stacked
from earmark.evaluation.estimates import Spread, spreads
from earmark.evaluation.protocols.trials import ListPair, TrialClip, every_path
from earmark.evaluation.svm import SvmSettings

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.verifier import Verifier
    from earmark.spotting.keyword import Keyword

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

FARS = (0.1, 0.025, 0.01)
IMPOSTOR_SHARES = (0.05, 0.01)


class FewShotSettings(Settings):
    """Settings of a few-shot evaluation."""

    scoring: Literal["clip", "detector"] = Field(
        "clip", description="Clip: each clip is one embedding; detector: the best score of the live detector."
    )
    backend: Backend = Field(
        "prototype",
        description="Compare embeddings with the mean of the unit takes, with the plain mean as published, with the "
        "best take, or by one RBF-SVM per keyword.",
    )
    target_words: tuple[str, ...] | None = Field(
        None, min_length=1, description="Enroll only these words; others become impostors. All if not given."
    )
    draws: int | None = Field(None, ge=1, description="Number of lists of each condition; all if not given.")
    seed: int = Field(0, description="Seed of the bootstrap over speakers, and of the projection.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scoring == "detector" and self.backend != "prototype":
            raise InputError(
                "scoring 'detector' has its own scores and no backend; leave backend out, or choose scoring 'clip'",
                key="backend",
            )
        return self


@dataclass(frozen=True)
class ScoredPair:
    """Scores of the test clips of an enrollment list and its test list.

    Attributes:
        pair: the lists.
        scores: shape (n, k), test clips × keywords, in the order of `pair`.
    """

    pair: ListPair
    scores: Floats

    @property
    def targets(self) -> Ints:
        """Index of each test clip's keyword, shape (n,); -1 for an impostor."""
        return _indices(self.pair.test, self.pair.keywords)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether the label of each test clip is each keyword, shape (n, k)."""
        return self.targets[:, None] == np.arange(len(self.pair.keywords))


Scored = dict[str, tuple[ScoredPair, ...]]
"""Scored pairs by condition."""


@dataclass(frozen=True)
class ListResult:
    """Metrics of one pair of lists.

    Attributes:
        name: name of the pair, such as `k5_s0`.
        keywords: number of keywords.
        takes: number of enrollment clips.
        clips: number of test clips.
        impostors: number of test clips without a keyword.
        numbers: rates in [0, 1] by the keys of `METRICS`.
    """

    name: str
    keywords: int
    takes: int
    clips: int
    impostors: int
    numbers: dict[str, float]


@dataclass(frozen=True)
class ConditionResult:
    """Metrics of each pair of lists of one condition, and their spread over these pairs."""

    name: str
    lists: tuple[ListResult, ...]
    numbers: dict[str, Spread]


def score_vectors(
    conditions: Mapping[str, tuple[ListPair, ...]],
    vectors: Mapping[str, Floats],
    *,
    backend: Backend = "prototype",
    background: Floats | None = None,
    svm: SvmSettings | None = None,
) -> Scored:
    """Score clips by their embeddings.

    Args:
        conditions: from `trials.find_pairs`.
        vectors: embeddings, shape (d,), by path; for every path of the lists (`trials.every_path`).
        backend: scoring back-end, see `backends.score`.
        background: embeddings of clips without a keyword, from outside the lists, shape (b, d); for `svm`, they are
            negatives beside the takes of the other keywords.
        svm: settings of the SVMs.

    Raises:
        InputError: a path has no embedding; or `svm` has one keyword and no background.
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
    progress: Progress = no_progress,
) -> Scored:
    """Embed each clip once and score the embeddings.

    Args:
        conditions: from `trials.find_pairs`.
        folder: folder of the corpus; the paths in the lists are relative to it.
        embed: maps a waveform, shape (samples,), to an embedding, shape (d,).
        backend: scoring back-end.
        progress: called after each clip.

    Raises:
        InputError: a clip cannot be read, or its embedding is not finite.
    """

    def embed_one(waves: Sequence[Wave]) -> Floats:
        return np.stack([embed(wave) for wave in waves])

    vectors = embed_clips(every_path(conditions), folder, embed_one, batch_clips=1, progress=progress)
    return score_vectors(conditions, vectors, backend=backend)


class ClipScorer:
    """Scores clips by the best windows of a detector.

    Args:
        keywords: enrolled with the encoder.
        encoder: of the keywords.
        verifier: scores the best windows again; None for the scores of the first stage.
    """

    def __init__(self, keywords: "Sequence[Keyword]", encoder: "Encoder", verifier: "Verifier | None") -> None:
        from earmark.spotting.detector_settings import DetectorSettings
        from earmark.spotting.scoring import Windows
        from earmark.spotting.verifier_scores import embed_with_verifier

        settings = DetectorSettings()
        self._keywords, self._encoder, self._verifier = keywords, encoder, verifier
        self._windows = Windows(keywords, encoder, settings.tempos)
        self._smoothing = max(1, round(settings.smoothing_s / encoder.hop_s))
        self._embedded = [embed_with_verifier(one.takes, verifier) for one in keywords] if verifier else []

    def scores(self, wave: Wave) -> dict[str, float]:
        """Best score of each keyword in a wave, by its name."""
        from earmark.spotting.scoring import StreamScorer
        from earmark.spotting.verifier_scores import frame_similarity, joint_score

        scorer, hop_s = StreamScorer(self._windows, self._smoothing), self._encoder.hop_s
        columns = zip(*scorer.push(self._encoder.frames(wave)), strict=True)
        scores, stops, lengths = (np.concatenate(column) for column in columns)
        frames = None if self._verifier is None else self._verifier.frames(wave)
        found = {}
        for column, (keyword, row) in enumerate(zip(self._keywords, scores.argmax(axis=0).tolist(), strict=True)):
            score = float(scores[row, column])
            if self._verifier is not None and frames is not None:
                end_s = float(stops[row]) * hop_s
                span_s = max(0.0, end_s - float(lengths[row, column]) * hop_s), end_s
                embedded = self._embedded[column]
                second = frame_similarity(embedded, keyword.duration_s, frames, self._verifier.hop_s, *span_s)
                score = joint_score(score, second)
            found[keyword.name] = score
        return found


def score_streams(
    conditions: Mapping[str, tuple[ListPair, ...]],
    folder: Path,
    encoder: "Encoder",
    *,
    verifier: "Verifier | None" = None,
    progress: Progress = no_progress,
) -> Scored:
    """Enroll the takes and score each test clip by the maximum of the detector's scores.

    Each clip is processed once, with the keywords of all lists that contain it.

    Args:
        conditions: from `trials.find_pairs`.
        folder: folder of the corpus.
        encoder: enrolls and detects.
        verifier: scores the best window of each clip too, whether it is a candidate or not: the score is the joint one.
        progress: called after each test clip.

    Raises:
        InputError: a clip cannot be read, or `enroll` refuses every take of a list.

    Warns:
        UserWarning: for each take that `enroll` refuses. The take is dropped; a keyword without takes scores -1.
    """
    pairs = [pair for group in conditions.values() for pair in group]
    enrolled = {pair.name: _enrolled(pair, folder, encoder) for pair in pairs}
    scores = {pair.name: np.full((len(pair.test), len(pair.keywords)), -1.0, np.float32) for pair in pairs}
    tests: dict[str, list[tuple[ListPair, int]]] = {}
    for pair in pairs:
        for row, clip in enumerate(pair.test):
            tests.setdefault(clip.path, []).append((pair, row))
    scorers: dict[tuple[str, ...], ClipScorer] = {}
    for path, places in follow(tests.items(), "detecting in clips", progress):
        names = tuple(pair.name for pair, _ in places)
        if names not in scorers:
            scorers[names] = ClipScorer([keyword for name in names for keyword in enrolled[name]], encoder, verifier)
        found = scorers[names].scores(audio.read(folder / path))
        for pair, row in places:
            scores[pair.name][row] = [found.get(_unique_name(pair, label), -1.0) for label in pair.keywords]
    return {
        condition: tuple(ScoredPair(pair, scores[pair.name]) for pair in group)
        for condition, group in conditions.items()
    }


def compute_metrics(
    scored: Scored, *, speakers: Mapping[str, str] | None = None, rng: np.random.Generator | None = None
) -> tuple[ConditionResult, ...]:
    """Compute every metric of each pair of lists, and its spread over the pairs of a condition.

    Args:
        scored: from `score_vectors`, `score_clips` or `score_streams`.
        speakers: speaker by path, for the intervals; a path without speaker counts as a speaker of its own.
        rng: draws speakers for the intervals; None computes no intervals.
    """
    return tuple(_condition_result(name, pairs, speakers, rng) for name, pairs in scored.items())


def confusion(pairs: tuple[ScoredPair, ...]) -> Confusion:
    """Closed-set confusion matrix of the target clips, summed over the pairs of lists of a condition."""
    words = tuple(sorted({word for scored in pairs for word in scored.pair.keywords}))
    labels, predictions = [], []
    for scored in pairs:
        places = np.array([words.index(word) for word in scored.pair.keywords])
        is_target = scored.targets >= 0
        labels.append(places[scored.targets[is_target]])
        predictions.append(places[scored.scores[is_target].argmax(axis=1)])
    return count_confusion(words, words, np.concatenate(labels), np.concatenate(predictions))


def _percent(share: float) -> str:
    """Format a share as percent for a key: 0.025 as `2_5`."""
    return f"{100 * share:g}".replace(".", "_")


METRICS = {
    "accuracy": "closed-set accuracy",
    "f1": "macro F1",
    "auc": "AUC",
    "eer": "EER",
    "eer_at_point": "EER by Jung et al.",
    **{f"frr_at_far_{_percent(far)}": f"FRR at FAR {far * 100:g} %" for far in FARS},
    **{f"frr_at_point_{_percent(far)}": f"FRR at FAR {far * 100:g} % by Jung et al." for far in FARS},
    **{
        f"identification_{_percent(share)}": f"right and accepted with {share * 100:g} % of impostors let in"
        for share in IMPOSTOR_SHARES
    },
    "min_dcf": "minDCF (prior 0.05)",
}
"""Name of each metric, by its key in the results."""


def _numbers_of(scored: ScoredPair) -> Callable[[Floats | None], dict[str, float]]:
    """Make a function from weights of the test clips, or None, to the metrics; trials are sorted once for all calls."""
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


def _condition_result(
    name: str, pairs: tuple[ScoredPair, ...], speakers: Mapping[str, str] | None, rng: np.random.Generator | None
) -> ConditionResult:
    functions = [_numbers_of(scored) for scored in pairs]
    lists = tuple(_list_result(scored, numbers(None)) for scored, numbers in zip(pairs, functions, strict=True))
    values = np.array([list(result.numbers.values()) for result in lists])
    ends = None
    if speakers and rng is not None:
        paths = sorted({clip.path for scored in pairs for clip in scored.pair.test})
        place = {path: index for index, path in enumerate(paths)}
        rows = [np.array([place[clip.path] for clip in scored.pair.test]) for scored in pairs]

        def mean_over_lists(weights: Floats) -> Floats:
            # The lists of a condition share speakers, so one draw of speakers weights the clips of all lists.
            drawn = [numbers(weights[own]) for numbers, own in zip(functions, rows, strict=True)]
            return np.mean([list(one.values()) for one in drawn], axis=0)

        ends = metrics.interval_over_speakers(mean_over_lists, [speakers.get(path, "") for path in paths], rng)
    return ConditionResult(name, lists, dict(zip(METRICS, spreads(values, ends), strict=True)))


def _list_result(scored: ScoredPair, numbers: dict[str, float]) -> ListResult:
    pair = scored.pair
    impostors = int((scored.targets < 0).sum())
    return ListResult(pair.name, len(pair.keywords), len(pair.enrollment), len(pair.test), impostors, numbers)


def _unique_name(pair: ListPair, label: str) -> str:
    """Name of a keyword, with its pair of lists, in a `Detector` that has the keywords of several pairs."""
    return f"{pair.name}/{label}"


def _enrolled(pair: ListPair, folder: Path, encoder: "Encoder") -> "list[Keyword]":
    from earmark.spotting.enrollment import enroll
    from earmark.spotting.takes import EnrollmentError

    def keyword(label: str, paths: list[str]) -> "Keyword":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings ask for better takes, but the lists are fixed
            waves = [audio.read(folder / path) for path in paths]
            return enroll(_unique_name(pair, label), waves, encoder=encoder, sources=paths, background=None)

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
                    warnings.warn(f"list {pair.name}, keyword {label}: dropped a take: {error}", stacklevel=3)
                else:
                    usable.append(path)
            if usable:
                enrolled.append(keyword(label, usable))
    if not enrolled:
        raise InputError(f"list {pair.name}: none of its takes can be enrolled; check the recordings")
    return enrolled


def _indices(clips: tuple[TrialClip, ...], keywords: tuple[str, ...]) -> Ints:
    index = {keyword: number for number, keyword in enumerate(keywords)}
    return np.array([index.get(clip.label, -1) for clip in clips])
