"""Speaker verification: pairs of clips, their scores, and the error rates of a threshold on the scores.

A pair is one trial, which is positive if both clips are by one speaker. The score is the cosine of both embeddings,
optionally normalized by the scores of each clip against a cohort of other speakers. Only a few numbers are kept for
each pair, because 4,874 clips already form 12 million pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.vectors import unit, without_direction
from earmark.data.lists.clip_lists import ClipPair
from earmark.evaluation import metrics
from earmark.evaluation.estimates import Estimate, estimates

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]

METRICS = {"eer": "EER", "min_dcf_0_01": "minDCF, prior 0.01", "min_dcf_0_001": "minDCF, prior 0.001"}
"""Name of each metric, by its key in the results. The EER is a fraction; costs are in [0, 1]."""

# Maximum number of scores in a block: 64 MiB of float32.
BLOCK = 2**24
# For intervals, the scores of more pairs than this are rounded to equally spaced levels.
MOST_PAIRS = 2**17
_LEVELS = 2**12


@dataclass(frozen=True)
class Pairs:
    """Pairs of clips, as indices into a list of clips.

    Attributes:
        first: index of the first clip of each pair, shape (n,).
        second: index of the second clip, shape (n,).
        is_same: whether both are by one speaker, shape (n,).
    """

    first: Ints
    second: Ints
    is_same: Bools

    def __len__(self) -> int:
        return len(self.first)


def every_pair(speakers: Sequence[str]) -> Pairs:
    """All unordered pairs of different clips, each once.

    Args:
        speakers: one per clip.

    Raises:
        InputError: a clip has no speaker, or all pairs are of one kind.

    >>> pairs = every_pair(["anna", "anna", "bob"])
    >>> pairs.first.tolist(), pairs.second.tolist(), pairs.is_same.tolist()
    ([0, 0, 1], [1, 2, 2], [True, False, False])
    """
    if "" in speakers:
        raise InputError(
            f"clip {list(speakers).index('') + 1} of {len(speakers)} has no speaker; add the speaker of every clip"
        )
    codes = np.unique(np.array(speakers, dtype=np.str_), return_inverse=True)[1].astype(np.int32)
    first = np.repeat(np.arange(len(codes), dtype=np.int32), np.arange(len(codes))[::-1])
    starts = np.cumsum(np.arange(len(codes))[::-1]) - np.arange(len(codes))[::-1]
    second = (np.arange(len(first)) - starts[first] + first + 1).astype(np.int32)
    pairs = Pairs(first, second, codes[first] == codes[second])
    _check_kinds(pairs)
    return pairs


def listed_pairs(pairs: Sequence[ClipPair]) -> tuple[list[str], Pairs]:
    """The clips of a list of pairs, without duplicates in the order of the list, and the pairs as indices into them.

    >>> listed_pairs([ClipPair(True, "a.wav", "b.wav"), ClipPair(False, "c.wav", "a.wav")])[0]
    ['a.wav', 'b.wav', 'c.wav']
    """
    rows: dict[str, int] = {}
    named = np.array(
        [[rows.setdefault(path, len(rows)) for path in (pair.first, pair.second)] for pair in pairs], np.int32
    ).reshape(-1, 2)
    return list(rows), Pairs(named[:, 0], named[:, 1], np.array([pair.is_same for pair in pairs], np.bool_))


def score_pairs(embeddings: Floats, pairs: Pairs, *, block: int = BLOCK) -> Floats:
    """Cosine of both embeddings of each pair, block by block.

    Args:
        embeddings: shape (m, d); rows need not be unit length.
        pairs: pairs of rows of `embeddings`.
        block: maximum number of values to compute at once.

    Returns:
        Shape (n,), in [-1, 1] up to rounding.

    Raises:
        InputError: an embedding is zero or not finite, so that it has no direction.
    """
    rows = _unit(embeddings, "embedding")
    scores = np.empty(len(pairs), np.float32)
    if len(rows) ** 2 <= 16 * len(pairs):  # a matrix product of all clips costs less than two rows for each pair
        order = np.argsort(pairs.first, kind="stable")
        sorted_first = pairs.first[order]
        step = max(1, block // len(rows))
        for start in range(0, len(rows), step):
            chosen = order[slice(*np.searchsorted(sorted_first, (start, start + step)))]
            products = rows[start : start + step] @ rows.T
            scores[chosen] = products[pairs.first[chosen] - start, pairs.second[chosen]]
        return scores
    step = max(1, block // rows.shape[1])
    for start in range(0, len(pairs), step):
        part = slice(start, start + step)
        scores[part] = np.einsum("nd,nd->n", rows[pairs.first[part]], rows[pairs.second[part]])
    return scores


def as_norm(
    embeddings: Floats,
    pairs: Pairs,
    cohort: Floats,
    top: int = 300,
    *,
    speakers: Sequence[str] | None = None,
    cohort_speakers: Sequence[str] | None = None,
    block: int = BLOCK,
) -> Floats:
    """Normalize the scores of pairs against a cohort, by adaptive symmetric normalization (AS-norm).

    P. Matějka et al., “Analysis of Score Normalization in Multilingual Speaker Recognition”, Interspeech 2017,
    adaptive S-norm 1. The score of a pair is normalized twice, by the mean and the standard deviation of the `top`
    highest cohort scores of either clip, and both results are averaged. Scores then have one scale, whether a clip is
    similar to many speakers or to few.

    Args:
        embeddings: shape (m, d).
        pairs: pairs of rows of `embeddings`.
        cohort: one embedding per cohort speaker, shape (c, d).
        top: number of most similar cohort speakers for each clip; a smaller cohort is used whole.
        speakers: one per clip; with `cohort_speakers`, a clip's own speaker is left out of its cohort.
        cohort_speakers: one per row of `cohort`.
        block: maximum number of values to compute at once.

    Returns:
        Shape (n,), in standard deviations.

    Raises:
        InputError: an embedding is zero, or a clip has fewer than two cohort speakers.
    """
    rows, others = _unit(embeddings, "embedding"), _unit(cohort, "embedding of the cohort")
    if top < 2:
        raise InputError(f"top: {top} is too low for a standard deviation; use 2 or more")
    own: list[list[int]] = [[] for _ in range(len(rows))]
    if speakers is not None and cohort_speakers is not None:
        rows_of: dict[str, list[int]] = {}
        for row, speaker in enumerate(cohort_speakers):
            rows_of.setdefault(speaker, []).append(row)
        own = [rows_of.get(speaker, []) if speaker else [] for speaker in speakers]
    least = len(others) - max(map(len, own), default=0)
    if least < 2:
        raise InputError(
            f"cohort: {len(others)} speakers, of which {least} remain without a clip's own speaker; use a cohort of"
            " more speakers"
        )
    means, deviations = _cohort_statistics(rows, others, own, min(top, len(others)), block)
    scores = score_pairs(embeddings, pairs, block=block).astype(np.float64)
    by_first = (scores - means[pairs.first]) / deviations[pairs.first]
    by_second = (scores - means[pairs.second]) / deviations[pairs.second]
    return ((by_first + by_second) / 2).astype(np.float32)


def _cohort_statistics(
    rows: Floats, cohort: Floats, own: Sequence[Sequence[int]], count: int, block: int
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each clip's highest cohort scores, each shape (m,).

    Args:
        rows: unit embeddings of the clips, shape (m, d).
        cohort: unit embeddings of the cohort, shape (c, d).
        own: for each clip, the rows of the cohort with the clip's own speaker.
        count: number of highest scores, at most c.
        block: maximum number of values to compute at once.
    """
    means, deviations = np.empty(len(rows)), np.empty(len(rows))
    step = max(1, block // len(cohort))
    for start in range(0, len(rows), step):
        scores = (rows[start : start + step] @ cohort.T).astype(np.float64)
        for row in range(len(scores)):
            scores[row, own[start + row]] = -np.inf
        nearest = np.partition(scores, len(cohort) - count, axis=1)[:, -count:]
        known = np.isfinite(nearest)  # in a small cohort the clip's own speaker can be among the nearest
        sizes = known.sum(axis=1)
        mean = np.where(known, nearest, 0).sum(axis=1) / sizes
        spread = np.where(known, nearest - mean[:, None], 0)
        part = slice(start, start + step)
        means[part], deviations[part] = mean, np.sqrt(np.square(spread).sum(axis=1) / sizes)
    # The lower bound keeps normalized scores finite if all cohort scores are equal.
    return means, np.maximum(deviations, 1e-6)


def mean_directions(embeddings: Floats, speakers: Sequence[str]) -> tuple[list[str], Floats]:
    """Average the unit embeddings of each speaker, to make a cohort for `as_norm`.

    Args:
        embeddings: shape (m, d).
        speakers: one per row.

    Returns:
        Speakers, sorted, and their means, shape (c, d).

    >>> mean_directions(np.float32([[2, 0], [0, 3], [0, 4]]), ["b", "a", "b"])
    (['a', 'b'], array([[0. , 1. ],
           [0.5, 0.5]], dtype=float32))
    """
    rows = _unit(embeddings, "embedding of the cohort")
    names, speaker_ids = np.unique(np.array(speakers, np.str_), return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]), np.float32)
    np.add.at(sums, speaker_ids, rows)
    counts = np.bincount(speaker_ids).astype(np.float32)
    return [str(name) for name in names], sums / counts[:, None]


def compute_metrics(
    scores: Floats,
    pairs: Pairs,
    speakers: Sequence[str],
    rng: np.random.Generator | None = None,
    *,
    most_pairs: int = MOST_PAIRS,
) -> dict[str, Estimate]:
    """EER and minimum detection costs of the scores, with 95 % intervals over speakers.

    The costs are those of NIST's speaker recognition evaluations with unit costs and prior p: the minimum over
    thresholds of FRR + FAR · (1 - p) / p. Published scripts write min 100 (0.01 FNR + 0.99 FPR) and
    min 1000 (0.001 FNR + 0.999 FPR). Rejecting every pair costs 1.

    Args:
        scores: shape (n,), from `score_pairs` or `as_norm`.
        pairs: the scored pairs.
        speakers: one per clip; a clip with "" counts as a speaker of its own.
        rng: draws speakers for the intervals; None computes no intervals. The weight of a pair of one speaker is the
            number of times that the speaker was drawn; a pair of two speakers has the product of both numbers.
        most_pairs: scores of more pairs than this are rounded to equally spaced levels for the intervals.

    Returns:
        Estimates by the keys of `METRICS`.

    Raises:
        InputError: all pairs are of one kind, or a score is NaN.
    """
    _check_kinds(pairs)
    values = _numbers(metrics.error_curve(scores, pairs.is_same))
    ends = None if rng is None else _intervals(scores, pairs, speakers, rng, most_pairs)
    return estimates(METRICS, np.array(values), ends)


def _numbers(curve: metrics.ErrorCurve) -> list[float]:
    return [
        metrics.equal_error_rate(curve),
        metrics.min_dcf(curve, p_target=0.01),
        metrics.min_dcf(curve, p_target=0.001),
    ]


def _intervals(
    scores: Floats, pairs: Pairs, speakers: Sequence[str], rng: np.random.Generator, most_pairs: int
) -> tuple[Floats, Floats]:
    names = [speaker or f"\0{index}" for index, speaker in enumerate(speakers)]
    found, speaker_ids = np.unique(np.array(names), return_inverse=True)
    levels, level = _levels(np.asarray(scores, np.float64), most_pairs)
    kinds = [
        _counted(speaker_ids[pairs.first[kind]], speaker_ids[pairs.second[kind]], level[kind], len(found), len(levels))
        for kind in (pairs.is_same, ~pairs.is_same)
    ]
    is_same = np.repeat([True, False], len(levels))

    def numbers(drawn: Floats) -> list[float]:
        weights = [
            np.bincount(places, counts * drawn[one] * np.where(one == other, 1, drawn[other]), len(levels))
            for one, other, places, counts in kinds
        ]
        return _numbers(metrics.error_curve(np.tile(levels, 2), is_same, np.concatenate(weights)))

    return metrics.interval_over_speakers(numbers, [str(name) for name in found], rng)


def _counted(one: Ints, other: Ints, level: Ints, speakers: int, levels: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Count the pairs of each combination of two speakers and score level, so that a draw of speakers is fast.

    Returns:
        Both speakers, the level and the number of pairs, for each combination of speakers and level.
    """
    key = (np.minimum(one, other).astype(np.int64) * speakers + np.maximum(one, other)) * levels + level
    key, counts = np.unique(key, return_counts=True)
    both, places = np.divmod(key, levels)
    return *np.divmod(both, speakers), places, counts


def _levels(scores: Floats, most: int) -> tuple[Floats, Ints]:
    """Return the distinct scores, shape (k,), ascending, and the index of each score among them.

    More than `most` scores are rounded to equally spaced levels.
    """
    if len(scores) > most:
        edges = np.linspace(scores.min(), scores.max(), _LEVELS)
        step = max(edges[1] - edges[0], 1e-12)
        return edges, np.rint((scores - edges[0]) / step).astype(np.int64)
    levels, level = np.unique(scores, return_inverse=True)
    return levels, level


def _unit(rows: Floats, what: str) -> NDArray[np.float32]:
    """Scale rows to unit length, as float32; errors call a row `what`.

    Raises:
        InputError: a row is zero or not finite.
    """
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise InputError(f"{what}s: the shape is {rows.shape}; expected (m, d)")
    wrong = without_direction(rows, tiny=0)
    if wrong.size:
        raise InputError(
            f"{what} {wrong[0] + 1} of {len(rows)} is zero or not finite; drop its recording if it is silent"
        )
    return unit(rows, tiny=0).astype(np.float32)


def _check_kinds(pairs: Pairs) -> None:
    same = int(pairs.is_same.sum())
    if same in {0, len(pairs)}:
        which, cure = (
            ("two speakers", "add recordings of a second speaker")
            if same
            else ("one speaker", "add a second recording of a speaker")
        )
        raise InputError(f"{len(pairs)} pairs: none is of {which}, but error rates need both kinds; {cure}")
