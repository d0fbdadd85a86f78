"""Is it the same speaker? Pairs of clips, their scores, and how often a threshold on the scores would be wrong.

A pair is one trial: positive where both clips are by one speaker. Its score is the cosine of the clips' embeddings,
perhaps normalized by what each clip scores against a cohort of strangers. All pairs of 4,874 clips are 12 million;
nothing here holds more than a few numbers for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import ClipPair
from earmark.evaluation import metrics
from earmark.evaluation.protocols.open_set import Estimate

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]

METRICS = {"eer": "EER", "min_dcf_0_01": "minDCF, prior 0.01", "min_dcf_0_001": "minDCF, prior 0.001"}
"""What is measured: key in the results and what it says. The EER is a fraction, a cost lies in [0, 1]."""

# Numbers that stand in memory at once: 64 MiB of float32.
_PIECE = 2**24
# For intervals, more pairs than this are counted in levels of the score.
_MANY_PAIRS = 2**17
_LEVELS = 2**12


@dataclass(frozen=True)
class Pairs:
    """Pairs of clips, as rows in a list of clips.

    Attributes:
        first: shape (n,), one clip of each pair.
        second: shape (n,), the other.
        is_same: shape (n,), whether both are by one speaker.
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
        InputError: a clip without a speaker, or nobody to tell apart.

    >>> pairs = every_pair(["anna", "anna", "bob"])
    >>> pairs.first.tolist(), pairs.second.tolist(), pairs.is_same.tolist()
    ([0, 0, 1], [1, 2, 2], [True, False, False])
    """
    if "" in speakers:
        raise InputError(f"clip {list(speakers).index('') + 1} of {len(speakers)} has no speaker; name all of them")
    codes = np.unique(np.array(speakers, dtype=np.str_), return_inverse=True)[1].astype(np.int32)
    first = np.repeat(np.arange(len(codes), dtype=np.int32), np.arange(len(codes))[::-1])
    starts = np.cumsum(np.arange(len(codes))[::-1]) - np.arange(len(codes))[::-1]
    second = (np.arange(len(first)) - starts[first] + first + 1).astype(np.int32)
    pairs = Pairs(first, second, codes[first] == codes[second])
    _check_kinds(pairs)
    return pairs


def listed_pairs(pairs: Sequence[ClipPair]) -> tuple[list[str], Pairs]:
    """The clips that a list of pairs names, each once and in its order, and the pairs as rows among them.

    >>> listed_pairs([ClipPair(True, "a.wav", "b.wav"), ClipPair(False, "c.wav", "a.wav")])[0]
    ['a.wav', 'b.wav', 'c.wav']
    """
    rows: dict[str, int] = {}
    named = np.array(
        [[rows.setdefault(path, len(rows)) for path in (pair.first, pair.second)] for pair in pairs], np.int32
    ).reshape(-1, 2)
    return list(rows), Pairs(named[:, 0], named[:, 1], np.array([pair.is_same for pair in pairs], np.bool_))


def score_pairs(embeddings: Floats, pairs: Pairs) -> Floats:
    """Cosine of both embeddings of each pair, in pieces.

    Args:
        embeddings: shape (m, d), of any length but zero.
        pairs: of rows of `embeddings`.

    Returns:
        Shape (n,), in [-1, 1] but for rounding.

    Raises:
        InputError: an embedding that is zero or not finite has no direction.
    """
    unit = _unit(embeddings, "embedding")
    scores = np.empty(len(pairs), np.float32)
    if len(unit) ** 2 <= 16 * len(pairs):  # so many that all products cost less than fetching rows for each pair
        order = np.argsort(pairs.first, kind="stable")
        sorted_first = pairs.first[order]
        step = max(1, _PIECE // len(unit))
        for start in range(0, len(unit), step):
            some = order[slice(*np.searchsorted(sorted_first, (start, start + step)))]
            block = unit[start : start + step] @ unit.T
            scores[some] = block[pairs.first[some] - start, pairs.second[some]]
        return scores
    step = max(1, _PIECE // unit.shape[1])
    for start in range(0, len(pairs), step):
        piece = slice(start, start + step)
        scores[piece] = np.einsum("nd,nd->n", unit[pairs.first[piece]], unit[pairs.second[piece]])
    return scores


def as_norm(
    embeddings: Floats,
    pairs: Pairs,
    cohort: Floats,
    top: int = 300,
    *,
    speakers: Sequence[str] | None = None,
    cohort_speakers: Sequence[str] | None = None,
) -> Floats:
    """Scores by adaptive symmetric normalization.

    P. Matějka et al., “Analysis of Score Normalization in Multilingual Speaker Recognition”, Interspeech 2017,
    adaptive S-norm 1: from a score each clip's mean over its `top` nearest strangers is taken, divided by their
    standard deviation, and both clips' results are averaged. Scores of clips that are like everybody then mean the
    same as scores of clips that are like nobody.

    Args:
        embeddings: shape (m, d).
        pairs: of rows of `embeddings`.
        cohort: shape (c, d), one embedding for each of some speakers.
        top: so many strangers of the cohort that a clip is most like; all where there are fewer.
        speakers: one per clip; with `cohort_speakers`, nobody is a stranger of himself.
        cohort_speakers: one per row of `cohort`.

    Returns:
        Shape (n,), in standard deviations.

    Raises:
        InputError: a zero embedding, or fewer than two strangers.
    """
    unit, others = _unit(embeddings, "embedding"), _unit(cohort, "embedding of the cohort")
    if top < 2:
        raise InputError(f"top {top}: a standard deviation needs two strangers or more")
    own: list[list[int]] = [[] for _ in range(len(unit))]
    if speakers is not None and cohort_speakers is not None:
        rows: dict[str, list[int]] = {}
        for row, speaker in enumerate(cohort_speakers):
            rows.setdefault(speaker, []).append(row)
        own = [rows.get(speaker, []) if speaker else [] for speaker in speakers]
    least = len(others) - max(map(len, own), default=0)
    if least < 2:
        raise InputError(f"a cohort of {len(others)} leaves {least} strangers, and two are needed; name a larger one")
    means, deviations = np.empty(len(unit)), np.empty(len(unit))
    step = max(1, _PIECE // len(others))
    for start in range(0, len(unit), step):
        block = (unit[start : start + step] @ others.T).astype(np.float64)
        for row in range(len(block)):
            block[row, own[start + row]] = -np.inf
        count = min(top, len(others))
        nearest = np.partition(block, len(others) - count, axis=1)[:, -count:]
        known = np.isfinite(nearest)  # where the cohort is small, a clip's own speaker is among the nearest
        sizes = known.sum(axis=1)
        mean = np.where(known, nearest, 0).sum(axis=1) / sizes
        spread = np.where(known, nearest - mean[:, None], 0)
        some = slice(start, start + step)
        means[some], deviations[some] = mean, np.sqrt(np.square(spread).sum(axis=1) / sizes)
    # Strangers who all score the same say nothing about the spread; the floor keeps the quotient finite.
    deviations = np.maximum(deviations, 1e-6)
    scores = score_pairs(embeddings, pairs).astype(np.float64)
    by_first = (scores - means[pairs.first]) / deviations[pairs.first]
    by_second = (scores - means[pairs.second]) / deviations[pairs.second]
    return ((by_first + by_second) / 2).astype(np.float32)


def mean_directions(embeddings: Floats, speakers: Sequence[str]) -> tuple[list[str], Floats]:
    """The speakers, sorted, and the mean of each one's unit embeddings: a cohort for `as_norm`.

    Args:
        embeddings: shape (m, d).
        speakers: one per row.

    Returns:
        c names, and shape (c, d).

    >>> mean_directions(np.float32([[2, 0], [0, 3], [0, 4]]), ["b", "a", "b"])
    (['a', 'b'], array([[0. , 1. ],
           [0.5, 0.5]], dtype=float32))
    """
    unit = _unit(embeddings, "embedding of the cohort")
    names, owner = np.unique(np.array(speakers, np.str_), return_inverse=True)
    sums = np.zeros((len(names), unit.shape[1]), np.float32)
    np.add.at(sums, owner, unit)
    counts = np.bincount(owner).astype(np.float32)
    return [str(name) for name in names], sums / counts[:, None]


def compute_metrics(
    scores: Floats, pairs: Pairs, speakers: Sequence[str], rng: np.random.Generator | None = None
) -> dict[str, Estimate]:
    """EER and least detection costs of the scores, with 95 % intervals over speakers.

    The costs are those of speaker recognition evaluations, C = 1: min over thresholds of FRR + FAR · (1 - p) / p,
    in the words of the published scripts min 100 (0.01 FNR + 0.99 FPR) and min 1000 (0.001 FNR + 0.999 FPR).
    Refusing everybody costs 1.

    Args:
        scores: shape (n,), from `score_pairs` or `as_norm`.
        pairs: what was scored.
        speakers: one per clip; a clip with "" stands for itself.
        rng: draws speakers for the intervals; None leaves the intervals out. A pair of two speakers counts as often
            as both were drawn, multiplied; a pair of one speaker as often as he was: drawn twice, he is two people.

    Returns:
        By the keys of `METRICS`.

    Raises:
        InputError: all pairs are of one kind, or a score is not a number.
    """
    _check_kinds(pairs)
    values = _numbers(metrics.error_curve(scores, pairs.is_same))
    low = high = np.full(len(METRICS), np.nan)
    if rng is not None:
        low, high = _intervals(scores, pairs, speakers, rng)
    return {key: Estimate(*row) for key, row in zip(METRICS, np.stack([values, low, high], 1).tolist(), strict=True)}


def _numbers(curve: metrics.ErrorCurve) -> list[float]:
    return [
        metrics.equal_error_rate(curve),
        metrics.min_dcf(curve, p_target=0.01),
        metrics.min_dcf(curve, p_target=0.001),
    ]


def _intervals(
    scores: Floats, pairs: Pairs, speakers: Sequence[str], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    names = [speaker or f"\0{index}" for index, speaker in enumerate(speakers)]
    found, owner = np.unique(np.array(names), return_inverse=True)
    levels, level = _levels(np.asarray(scores, np.float64))
    kinds = [
        _counted(owner[pairs.first[kind]], owner[pairs.second[kind]], level[kind], len(found), len(levels))
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
    """Two speakers, a level, and how many pairs they have there: as one number each, a draw costs little."""
    key = (np.minimum(one, other).astype(np.int64) * speakers + np.maximum(one, other)) * levels + level
    key, counts = np.unique(key, return_counts=True)
    both, places = np.divmod(key, levels)
    return *np.divmod(both, speakers), places, counts


def _levels(scores: Floats) -> tuple[Floats, Ints]:
    """Distinct scores, shape (k,), rising, and each score's place among them; many scores are rounded to levels."""
    if len(scores) > _MANY_PAIRS:
        edges = np.linspace(scores.min(), scores.max(), _LEVELS)
        step = max(edges[1] - edges[0], 1e-12)
        return edges, np.rint((scores - edges[0]) / step).astype(np.int64)
    levels, level = np.unique(scores, return_inverse=True)
    return levels, level


def _unit(rows: Floats, what: str) -> NDArray[np.float32]:
    """Rows divided by their length."""
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise InputError(f"{what}s of shape {rows.shape}; expected (m, d)")
    lengths = np.linalg.norm(rows, axis=1)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if wrong.size:
        raise InputError(f"{what} {wrong[0] + 1} of {len(rows)} is zero or not finite; is its recording silent?")
    return (rows / lengths[:, None]).astype(np.float32)


def _check_kinds(pairs: Pairs) -> None:
    same = int(pairs.is_same.sum())
    if same in {0, len(pairs)}:
        which, cure = (
            ("two speakers", "name recordings of a second one") if same else ("one speaker", "name two of somebody")
        )
        raise InputError(f"{len(pairs)} pairs, none of them of {which}; error rates need both kinds: {cure}")
