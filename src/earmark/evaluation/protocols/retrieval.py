"""Does the same thing said elsewhere come first? Mean average precision over labeled segments.

Every segment is a query: all others are ranked by their similarity to it, and those of its label should lead. With
R right answers among the candidates, P(k) the share of right answers among the first k, and rel(k) = 1 where the k-th
answer is right,

    AP   = 1/R · Σ_{k ≤ K} rel(k) · P(k)      K: the most right answers that any query has
    AP@R = 1/R · Σ_{k ≤ R} rel(k) · P(k)

MAP is the mean of AP over queries, so that frequent labels count more; queries without right answers do not count. This
is `mean_average_precision` and `mean_average_precision_at_r` of pytorch-metric-learning with k = "max_bin_count", as R.
Algayres et al. (2022) use it, there with the query among its own candidates (`published`): it is always its own first
answer, which flatters rare labels.

Three rankings answer three questions: `all` other segments; `across`: only those of other speakers, so that a voice
cannot help; `within`: only those of the query's own speaker. Answers of equal similarity are ranked the wrong ones
first, so that an encoder which gives everything the same vector earns nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation import metrics
from earmark.evaluation.embedders import Progress, silent
from earmark.evaluation.protocols.open_set import Estimate

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
Similarities = Callable[[Ints, Ints], Floats]
"""Of rows to columns, both numbers of segments: shape (rows, columns), an array of its own that is written over."""

RANKINGS = {"all": "all others", "across": "other speakers", "within": "own speaker", "published": "all and itself"}
"""What a query is compared with."""
METRICS = {"map": "MAP", "map_at_r": "MAP@R"}
"""What is measured: key in the results and what it says. Fractions."""

# Similarities that stand in memory at once: 64 MiB of float32.
_PIECE = 2**24


@dataclass(frozen=True)
class Precisions:
    """How well each query is answered in one ranking.

    Attributes:
        ap: average precision of each query, shape (n,); NaN where there is no right answer.
        ap_at_r: the same of its first R answers, shape (n,).
        right: how many right answers there are, R, shape (n,).
        depth: K, how deep a ranking is looked at.
    """

    ap: Floats
    ap_at_r: Floats
    right: Ints
    depth: int


def cosine_similarities(embeddings: Floats) -> Similarities:
    """Cosines of embeddings, for `precisions`.

    Args:
        embeddings: shape (n, d), of any length but zero.

    Raises:
        InputError: an embedding that is zero or not finite has no direction.
    """
    rows = np.asarray(embeddings, np.float32)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if wrong.size:
        raise InputError(f"embedding {wrong[0] + 1} of {len(rows)} is zero or not finite; is its segment silent?")
    unit = rows / lengths[:, None].astype(np.float32)
    ordered: tuple[Ints, Floats] | None = None

    def similarities(some: Ints, columns: Ints) -> Floats:
        nonlocal ordered
        # All blocks ask for the same columns: they are put in order once.
        if ordered is None or ordered[0] is not columns:
            ordered = columns, np.ascontiguousarray(unit[columns].T)
        return unit[some] @ ordered[1]

    return similarities


def precisions(
    similarities: Similarities,
    labels: Sequence[str],
    speakers: Sequence[str],
    *,
    published: bool = False,
    progress: Progress = silent,
) -> dict[str, Precisions]:
    """Average precision of every query, block by block: n segments take n² products, but no n² memory.

    Args:
        similarities: of any segments to any others, such as `cosine_similarities`.
        labels: one per segment.
        speakers: one per segment; a segment with "" has a speaker of its own.
        published: also rank with the query among its own candidates.
        progress: told how many queries are done.

    Returns:
        By ranking: `all`, `across` and `within`, and `published` where asked for.

    Raises:
        InputError: a segment without label, or no label twice.
    """
    if "" in labels:
        raise InputError(
            f"segment {list(labels).index('') + 1} of {len(labels)} has no label; label all of them, as prepare ngrams"
            " does"
        )
    named = [speaker or f"\0{index}" for index, speaker in enumerate(speakers)]
    codes = np.unique(np.array(labels, np.str_), return_inverse=True)[1]
    voices = np.unique(np.array(named, np.str_), return_inverse=True)[1]
    # Sorted by label, the right answers of a query are one slice of its row.
    order = np.argsort(codes, kind="stable")
    asked = _Asked(codes[order], voices[order], published)
    if not asked.right["all"].any():
        raise InputError(f"{len(labels)} segments of as many labels: nothing has a right answer; add tokens of a label")
    found = {name: np.full((2, len(order)), np.nan) for name in asked.right}
    step = max(1, _PIECE // len(order))
    for start in range(0, len(order), step):
        stop = min(start + step, len(order))
        block = np.asarray(similarities(order[start:stop], order), np.float32)
        for name, values in _answered(block, start, asked).items():
            found[name][:, order[start:stop]] = values
        progress(stop, len(order))
    result = {}
    for name, right in asked.right.items():
        original = np.empty_like(right)
        original[order] = right
        result[name] = Precisions(found[name][0], found[name][1], original, asked.depth[name])
    return result


def compute_metrics(
    found: Mapping[str, Precisions], speakers: Sequence[str], rng: np.random.Generator | None = None
) -> dict[str, dict[str, Estimate]]:
    """MAP and MAP@R of each ranking, with 95 % intervals over speakers.

    Args:
        found: from `precisions`.
        speakers: one per segment; a segment with "" stands for itself.
        rng: draws the speakers whose queries count, for the intervals; the candidates stay. None leaves them out.

    Returns:
        By ranking, then by the keys of `METRICS`; NaN for a ranking in which no query has a right answer.
    """
    rows = np.stack([values for some in found.values() for values in (some.ap, some.ap_at_r)])
    means = _means(rows)
    values = means(np.ones(rows.shape[1]))
    low = high = np.full(len(rows), np.nan)
    if rng is not None:
        low, high = metrics.interval_over_speakers(means, speakers, rng)
    estimates = iter(Estimate(*row) for row in np.stack([values, low, high], 1).tolist())
    return {name: {key: next(estimates) for key in METRICS} for name in found}


def by_label(found: Precisions, labels: Sequence[str]) -> dict[str, tuple[int, float]]:
    """How many tokens each label has, and the mean of their AP; labels without an answered query are left out."""
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


class _Asked:
    """Segments sorted by label: what each query's right answers are, in every ranking.

    Attributes:
        codes: label of each segment, rising, shape (n,).
        voices: speaker of each segment, shape (n,).
        first: where each segment's label begins, shape (n,).
        last: where it ends, shape (n,).
        own: segments of each speaker.
        right: by ranking, how many right answers a query has, shape (n,).
        depth: by ranking, the most of them.
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


def _answered(block: Floats, start: int, asked: _Asked) -> dict[str, Floats]:
    """AP and AP@R of some queries by ranking, shape (2, b). The block of similarities is used up."""
    queries = np.arange(start, start + len(block))
    found = {}
    if "published" in asked.right:
        found["published"] = _ranked(block, queries, asked, "published")
    block[np.arange(len(block)), queries] = -np.inf
    found["all"] = _ranked(block, queries, asked, "all")
    within = np.full((2, len(block)), np.nan)
    for row, query in enumerate(queries):
        own = asked.own[asked.voices[query]]
        if asked.right["within"][query]:
            scores = block[row, own]
            right = scores[asked.codes[own] == asked.codes[query]]
            within[:, row] = _precision(right, np.sort(scores), scores, asked.depth["within"])
        block[row, own] = -np.inf
    found["within"] = within
    found["across"] = _ranked(block, queries, asked, "across")
    return found


def _ranked(block: Floats, queries: Ints, asked: _Asked, name: str) -> Floats:
    """AP and AP@R of queries, shape (2, b); what may not be an answer is -inf in the block."""
    values = np.full((2, len(block)), np.nan)
    depth = min(asked.depth[name], block.shape[1])
    if not depth:
        return values
    # Only the depth best have to be in order, which costs a tenth of sorting all.
    best = np.sort(np.partition(block, block.shape[1] - depth, axis=1)[:, -depth:], axis=1)
    for row, query in enumerate(queries):
        if asked.right[name][query]:
            right = block[row, asked.first[query] : asked.last[query]]
            values[:, row] = _precision(right, best[row], block[row], asked.depth[name])
    return values


def _precision(right: Floats, best: Floats, scores: Floats, depth: int) -> tuple[float, float]:
    """AP and AP@R of one query.

    Args:
        right: similarity of the right answers, in any order; -inf for what may not be an answer.
        best: the best similarities of all candidates, rising.
        scores: all of them.
        depth: K.
    """
    right = np.sort(right[np.isfinite(right)])[::-1]
    total = len(right)
    seen = right[right >= best[0]]
    if not seen.size:
        return 0.0, 0.0
    above = len(best) - np.searchsorted(best, seen, "left")  # answers that are at least as similar
    if seen[-1] == best[0]:  # perhaps more of them than `best` has
        above[seen == best[0]] = np.count_nonzero(scores >= best[0])
    number = np.arange(1, len(seen) + 1)
    together = np.searchsorted(-seen, -seen, "right")  # right answers that are at least as similar
    rank = above - together + number
    precision = number / rank
    return float(precision[rank <= depth].sum() / total), float(precision[rank <= total].sum() / total)


def _means(rows: Floats) -> Callable[[Floats], Floats]:
    """Weighted means of rows over what is not NaN in them."""
    known = np.isfinite(rows)
    filled = np.where(known, rows, 0)

    def means(weights: Floats) -> Floats:
        sums = known @ weights
        return np.where(sums > 0, filled @ weights / np.where(sums > 0, sums, 1), np.nan)

    return means
