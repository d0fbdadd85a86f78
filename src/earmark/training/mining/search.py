"""Search for nearest neighbors by cosine in a range of segments: exact, or with inverted lists of FAISS."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.search.faiss_index import faiss, search_lists
from earmark.training.mining.search_plan import QueryBlock, Range
from earmark.training.mining.segment_table import Ints
from earmark.training.mining.settings import MiningSettings

Floats = NDArray[np.floating]
Nearest = tuple[Floats, Ints]
"""Similarities and rows of the neighbors of each query, shapes (b, k); missing neighbors are -inf and -1."""

_SAMPLES_PER_LIST = 48
_ITERATIONS = 10


def intersect(one: Range, other: Range) -> Range:
    """Intersect two ranges of rows; the result is empty if they share no row."""
    low = max(one[0], other[0])
    return low, max(low, min(one[1], other[1]))


class RangeIndex:
    """Searches for nearest neighbors in a range of segments that is small enough for an index in memory.

    Attributes:
        span: rows of the range.
        is_approximate: whether a search has used inverted lists.
    """

    def __init__(self, vectors: Floats, span: Range, settings: MiningSettings) -> None:
        self.span, self.is_approximate = span, False
        self._vectors, self._settings = vectors, settings

    def search(self, block: QueryBlock) -> Iterator[Nearest]:
        """Yield the nearest neighbors of a block's segments in the range, except those in the block's gap.

        The results have `block.overlaps` more neighbors than the settings ask for, because up to so many of them may be
        segments that may not be paired with a segment of the block.
        """
        candidates = intersect(block.candidates, self.span)
        queries = np.ascontiguousarray(self._vectors[slice(*block.rows)])
        wanted = self._settings.neighbors + block.overlaps
        if candidates[1] - candidates[0] > self._settings.exact_rows:
            yield self._search_lists(queries, wanted, block)
            return
        for outside in block.outside_gap():
            low, high = intersect(outside, self.span)
            if high > low:
                yield search_all(queries, self._vectors[low:high], wanted, low)

    def _search_lists(self, queries: Floats, wanted: int, block: QueryBlock) -> Nearest:
        package = faiss()
        self.is_approximate = True
        # FAISS keeps no references to selectors, so all of them must live until the search ends.
        candidates, gap = (package.IDSelectorRange(*span) for span in (block.candidates, block.gap))
        outside = package.IDSelectorNot(gap)
        selector = package.IDSelectorAnd(candidates, outside)
        similarities, rows = search_lists(self._lists, queries, wanted, self._settings.probes, selector)
        return np.where(rows >= 0, similarities, -np.inf), rows

    @cached_property
    def _lists(self) -> Any:
        package = faiss()
        low, high = self.span
        count, width = high - low, self._vectors.shape[1]
        lists = list_count(count)
        rng = np.random.default_rng(self._settings.seed)
        sample = np.sort(rng.choice(count, min(count, _SAMPLES_PER_LIST * lists), replace=False)) + low
        index = package.IndexIVFFlat(package.IndexFlatIP(width), width, lists, package.METRIC_INNER_PRODUCT)
        index.cp.spherical, index.cp.niter, index.cp.seed = True, _ITERATIONS, 1 + self._settings.seed % 2**30
        index.cp.min_points_per_centroid = 1
        index.train(np.ascontiguousarray(self._vectors[sample]))
        for start in range(low, high, 65_536):
            stop = min(start + 65_536, high)
            index.add_with_ids(np.ascontiguousarray(self._vectors[start:stop]), np.arange(start, stop))
        return index


def list_count(count: int) -> int:
    """Choose the number of inverted lists for `count` segments: a power of two near 2 √count.

    A query is compared with the centers of all lists, and then with the segments in a few lists. With this number of
    lists, both steps take about the same time.

    >>> list_count(1_000_000)
    2048
    """
    return int(2 ** max(0, round(np.log2(2 * np.sqrt(max(1, count))))))


def search_all(queries: Floats, candidates: Floats, wanted: int, first: int) -> Nearest:
    """Find the nearest neighbors of queries by comparison with all candidates.

    Args:
        queries: unit vectors, shape (b, d).
        candidates: unit vectors, shape (m, d).
        wanted: number of neighbors per query.
        first: row of the first candidate.
    """
    package = faiss()
    wanted = min(wanted, len(candidates))
    similarities, rows = package.knn(
        np.ascontiguousarray(queries), np.ascontiguousarray(candidates), wanted, metric=package.METRIC_INNER_PRODUCT
    )
    return similarities, rows + first


def merge_nearest(found: list[Nearest], wanted: int) -> Nearest:
    """Merge several results for the same queries into one, in descending order of similarity.

    Neighbors with equal similarities are in the order of their rows.

    Args:
        found: results of searches.
        wanted: number of neighbors per query.
    """
    similarities = np.concatenate([one for one, _ in found], axis=1, dtype=np.float32)
    rows = np.concatenate([other for _, other in found], axis=1, dtype=np.int64)
    missing = max(0, wanted - similarities.shape[1])
    similarities = np.pad(similarities, ((0, 0), (0, missing)), constant_values=-np.inf)
    rows = np.where(np.isfinite(similarities), np.pad(rows, ((0, 0), (0, missing)), constant_values=-1), -1)
    order = np.lexsort((rows, -similarities), axis=1)[:, :wanted]
    return np.take_along_axis(similarities, order, axis=1), np.take_along_axis(rows, order, axis=1)


def without_forbidden(found: Nearest, may_pair: Callable[[Ints], NDArray[np.bool_]]) -> Nearest:
    """Replace the similarities of neighbors that may not be paired with their query by -inf.

    Args:
        found: similarities and rows of the neighbors of b queries, each of shape (b, k).
        may_pair: maps these rows to whether each may be paired with its query, shape (b, k).
    """
    similarities, rows = found
    return np.where((rows >= 0) & may_pair(rows), similarities, -np.inf), rows
