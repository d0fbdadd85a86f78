"""Retrieval of labeled segments: mean average precision.

Every segment is a query: all other segments are ranked by their similarity to the query, and segments with the query's
label are the right answers. With R right answers among the candidates, P(k) the share of right answers among the first
k, and rel(k) = 1 if the k-th answer is right,

    AP   = 1/R · Σ_{k ≤ K} rel(k) · P(k)      K: largest number of right answers to any query
    AP@R = 1/R · Σ_{k ≤ R} rel(k) · P(k)

MAP is the mean of AP over the queries with right answers, so that frequent labels count more. This is
`mean_average_precision` and `mean_average_precision_at_r` of pytorch-metric-learning with k = "max_bin_count".
Algayres et al. (2022) compute MAP with the query among its own candidates (`published`): the query is then always its
own first answer, which favors rare labels.

There are three rankings: `all` other segments; `across`, only segments of other speakers, so that a common voice does
not help; `within`, only segments of the query's speaker. Wrong answers rank before right answers of equal similarity,
so that an encoder with constant embeddings scores 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.core.vectors import unit, without_direction
from earmark.evaluation import metrics
from earmark.evaluation.estimates import Estimate, estimates

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
Similarities = Callable[[Ints, Ints], Floats]
"""Called with segment indices of rows and columns; returns a new array, shape (rows, columns)."""

RANKINGS = {"all": "all others", "across": "other speakers", "within": "own speaker", "published": "all and itself"}
"""The candidates of each ranking, in words."""
METRICS = {"map": "MAP", "map_at_r": "MAP@R"}
"""Name of each metric, by its key in the results; fractions."""

# Maximum number of similarities in a block: 64 MiB of float32.
BLOCK = 2**24


class RetrievalSettings(Settings):
    """Settings of the retrieval of labeled segments."""

    published: bool = Field(False, description="Also rank with each query among its own candidates, as published.")
    seed: int = Field(0, description="Seed of the bootstrap over speakers.")


@dataclass(frozen=True)
class Precisions:
    """Average precision of each query in one ranking.

    Attributes:
        ap: AP of each query, shape (n,); NaN without a right answer.
        ap_at_r: AP@R of each query, shape (n,).
        right: number of right answers to each query (R), shape (n,).
        depth: number of ranks that count in AP (K).
    """

    ap: Floats
    ap_at_r: Floats
    right: Ints
    depth: int


def cosine_similarities(embeddings: Floats) -> Similarities:
    """Return a function that computes the cosines of pairs of segments, as `precisions` needs it.

    Args:
        embeddings: shape (n, d); rows need not be unit length.

    Raises:
        InputError: an embedding is zero or not finite, so that it has no direction.
    """
    exact = np.asarray(embeddings, np.float32).astype(np.float64)
    wrong = without_direction(exact, tiny=0)
    if wrong.size:
        raise InputError(
            f"embedding {wrong[0] + 1} of {len(exact)} is zero or not finite; remove its segment if it is silent"
        )
    units = unit(exact, tiny=0).astype(np.float32)
    ordered: tuple[Ints, Floats] | None = None

    def similarities(rows: Ints, columns: Ints) -> Floats:
        nonlocal ordered
        # All blocks have the same columns, so they are sorted only once.
        if ordered is None or ordered[0] is not columns:
            ordered = columns, np.ascontiguousarray(units[columns].T)
        return units[rows] @ ordered[1]

    return similarities


def precisions(
    similarities: Similarities,
    labels: Sequence[str],
    speakers: Sequence[str],
    *,
    published: bool = False,
    progress: Progress = no_progress,
    block: int = BLOCK,
) -> dict[str, Precisions]:
    """Average precision of every query. Queries are ranked in blocks: time grows with n², memory does not.

    Args:
        similarities: computes similarities of segments, such as `cosine_similarities(embeddings)`.
        labels: one per segment.
        speakers: one per segment; a segment with "" has a speaker of its own.
        published: also rank with the query among its own candidates.
        progress: called after each block.
        block: maximum number of similarities to compute at once.

    Returns:
        Precisions by ranking: `all`, `across`, `within`, and also `published` if that is set.

    Raises:
        InputError: a segment has no label, or every label occurs once.
    """
    if "" in labels:
        raise InputError(f"segment {list(labels).index('') + 1} of {len(labels)} has no label; label all segments")
    named = [speaker or f"\0{index}" for index, speaker in enumerate(speakers)]
    codes = np.unique(np.array(labels, np.str_), return_inverse=True)[1]
    voices = np.unique(np.array(named, np.str_), return_inverse=True)[1]
    # Segments are sorted by label, so that the right answers to a query are one slice of its row.
    order = np.argsort(codes, kind="stable")
    queries = _Queries(codes[order], voices[order], published)
    if not queries.right["all"].any():
        raise InputError(
            f"labels: all {len(labels)} differ, so that no query has a right answer; add segments with equal labels"
        )
    found = {name: np.full((2, len(order)), np.nan) for name in queries.right}
    step = max(1, block // len(order))
    for start in range(0, len(order), step):
        stop = min(start + step, len(order))
        scores = np.asarray(similarities(order[start:stop], order), np.float32)
        for name, values in _rank_block(scores, start, queries).items():
            found[name][:, order[start:stop]] = values
        progress("ranking", stop, len(order))
    result = {}
    for name, right in queries.right.items():
        original = np.empty_like(right)
        original[order] = right
        result[name] = Precisions(found[name][0], found[name][1], original, queries.depth[name])
    return result


def compute_metrics(
    found: Mapping[str, Precisions], speakers: Sequence[str], rng: np.random.Generator | None = None
) -> dict[str, dict[str, Estimate]]:
    """MAP and MAP@R of each ranking, with 95 % intervals over speakers.

    Args:
        found: from `precisions`.
        speakers: one per segment; a segment with "" counts as a speaker of its own.
        rng: draws the speakers whose queries count, for the intervals; the candidates stay the same. None computes no
            intervals.

    Returns:
        Estimates by ranking, then by the keys of `METRICS`; NaN for a ranking in which no query has a right answer.
    """
    rows = np.stack([values for ranking in found.values() for values in (ranking.ap, ranking.ap_at_r)])
    means = _means(rows)
    ends = None if rng is None else metrics.interval_over_speakers(means, speakers, rng)
    every = iter(estimates(map(str, range(len(rows))), means(np.ones(rows.shape[1])), ends).values())
    return {name: {key: next(every) for key in METRICS} for name in found}


def by_label(found: Precisions, labels: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Number of segments of each label and their mean AP, by label; labels without right answers are left out."""
    names, codes = np.unique(np.array(labels, np.str_), return_inverse=True)
    known = np.isfinite(found.ap)
    tokens = np.bincount(codes, minlength=len(names))
    answered = np.bincount(codes[known], minlength=len(names))
    sums = np.bincount(codes[known], found.ap[known], minlength=len(names))
    return {
        str(name): (int(tokens[row]), float(sums[row] / answered[row]))
        for row, name in enumerate(names)
        if answered[row]
    }


class _Queries:
    """Segments sorted by label, and the number of right answers to each segment in every ranking.

    Attributes:
        codes: label of each segment, ascending, shape (n,).
        voices: speaker of each segment, shape (n,).
        first: index of the first segment with the same label, for each segment, shape (n,).
        last: one past the index of the last segment with the same label, shape (n,).
        own: indices of the segments of each speaker.
        right: by ranking, number of right answers to each query, shape (n,).
        depth: by ranking, the largest number of right answers to a query.
    """

    def __init__(self, codes: Ints, voices: Ints, published: bool) -> None:
        self.codes, self.voices = codes, voices
        self.first, self.last = np.searchsorted(codes, codes, "left"), np.searchsorted(codes, codes, "right")
        by_voice = np.argsort(voices, kind="stable")
        self.own = np.split(by_voice, np.cumsum(np.bincount(voices))[:-1])
        same = self.last - self.first
        _, both, counts = np.unique(
            codes.astype(np.int64) * (voices.max() + 1) + voices, return_inverse=True, return_counts=True
        )
        mine = counts[both]
        self.right = {"all": same - 1, "across": same - mine, "within": mine - 1}
        if published:
            self.right["published"] = same
        self.depth = {name: int(right.max()) for name, right in self.right.items()}


def _rank_block(block: Floats, start: int, queries: _Queries) -> dict[str, Floats]:
    """AP and AP@R of a block of queries, shape (2, b), by ranking; overwrites the block of similarities."""
    rows = np.arange(start, start + len(block))
    found = {}
    if "published" in queries.right:
        found["published"] = _ranked(block, rows, queries, "published")
    block[np.arange(len(block)), rows] = -np.inf
    found["all"] = _ranked(block, rows, queries, "all")
    within = np.full((2, len(block)), np.nan)
    for row, query in enumerate(rows):
        own = queries.own[queries.voices[query]]
        if queries.right["within"][query]:
            scores = block[row, own]
            right = scores[queries.codes[own] == queries.codes[query]]
            within[:, row] = _precision(right, np.sort(scores), scores, queries.depth["within"])
        block[row, own] = -np.inf
    found["within"] = within
    found["across"] = _ranked(block, rows, queries, "across")
    return found


def _ranked(block: Floats, rows: Ints, queries: _Queries, name: str) -> Floats:
    """AP and AP@R of queries, shape (2, b); segments outside the candidates are -inf in the block."""
    values = np.full((2, len(block)), np.nan)
    depth = min(queries.depth[name], block.shape[1])
    if not depth:
        return values
    # Only the best `depth` are sorted, at a tenth of the cost of sorting all.
    best = np.sort(np.partition(block, block.shape[1] - depth, axis=1)[:, -depth:], axis=1)
    for row, query in enumerate(rows):
        if queries.right[name][query]:
            right = block[row, queries.first[query] : queries.last[query]]
            values[:, row] = _precision(right, best[row], block[row], queries.depth[name])
    return values


def _precision(right: Floats, best: Floats, scores: Floats, depth: int) -> tuple[float, float]:
    """AP and AP@R of one query.

    Args:
        right: similarities of the right answers, in any order; -inf for segments outside the candidates.
        best: the highest similarities of all candidates, ascending.
        scores: similarities of all candidates.
        depth: K.
    """
    right = np.sort(right[np.isfinite(right)])[::-1]
    total = len(right)
    seen = right[right >= best[0]]
    if not seen.size:
        return 0.0, 0.0
    above = len(best) - np.searchsorted(best, seen, "left")  # answers that are at least as similar
    if seen[-1] == best[0]:  # `best` may lack some answers of equal similarity
        above[seen == best[0]] = np.count_nonzero(scores >= best[0])
    number = np.arange(1, len(seen) + 1)
    ties = np.searchsorted(-seen, -seen, "right")  # right answers that are at least as similar
    rank = above - ties + number
    precision = number / rank
    return float(precision[rank <= depth].sum() / total), float(precision[rank <= total].sum() / total)


def _means(rows: Floats) -> Callable[[Floats], Floats]:
    """Return a function from weights, shape (n,), to the weighted mean of each row; NaN values are left out."""
    known = np.isfinite(rows)
    filled = np.where(known, rows, 0)

    def means(weights: Floats) -> Floats:
        sums = known @ weights
        return np.where(sums > 0, filled @ weights / np.where(sums > 0, sums, 1), np.nan)

    return means
