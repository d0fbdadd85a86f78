"""Search for the nearest neighbors of all segments; results are stored in chunks, so that a search can resume."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import read_array, write_array, write_array_header
from earmark.core.files import atomic_file, read_json, write_json
from earmark.core.progress import Progress, no_progress
from earmark.training.mining.search import Nearest, RangeIndex, merge_nearest, without_forbidden
from earmark.training.mining.search_plan import BLOCK_ROWS, QueryBlock, plan_blocks
from earmark.training.mining.segment_table import Bools, Ints, SegmentTable
from earmark.training.mining.settings import MiningSettings

Floats = NDArray[np.floating]

CHUNK_ROWS = 65_536
"""Minimum number of segments in a chunk, whose neighbors are stored in one file."""

_TILE_ROWS = 131_072
_PIECE = 2**22
_SUFFIXES = (".similarities.npy", ".rows.npy", ".json")


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest neighbors of each of n segments, in descending order of similarity.

    Attributes:
        similarities: cosines, shape (n, k); -inf for missing neighbors.
        rows: rows of the neighbors, shape (n, k); -1 for missing neighbors.
        is_approximate: whether inverted lists were searched.
    """

    similarities: Floats
    rows: Ints
    is_approximate: bool

    def pieces(self, *, mutual: bool) -> Iterator[tuple[Ints, Floats, Ints]]:
        """Yield the neighbors of all segments in pieces of b segments.

        A piece has the rows of the segments, shape (b,), the similarities of their neighbors, shape (b, k), and the
        rows of these neighbors, shape (b, k).

        Args:
            mutual: if a segment is not a neighbor of its neighbor, replace their similarity by -inf.
        """
        count, width = self.rows.shape
        step = max(1, _PIECE // width**2)
        for low in range(0, count, step):
            queries = np.arange(low, min(low + step, count))
            similarities, rows = np.array(self.similarities[queries]), np.array(self.rows[queries])
            if mutual:
                similarities[~self.contain(rows, queries[:, None])] = -np.inf
            yield queries, similarities, rows

    def contain(self, rows: Ints, others: Ints, threshold: float = -np.inf) -> Bools:
        """Test whether segments have certain other segments as neighbors.

        Args:
            rows: rows of the segments.
            others: rows of the other segments; both arrays are broadcast.
            threshold: minimum similarity of the neighbors.

        Returns:
            Whether each segment in `rows` has the corresponding segment in `others` as a neighbor.
        """
        is_other = self.rows[rows] == others[..., None]
        return (is_other & (self.similarities[rows] >= threshold)).any(axis=-1) & (rows >= 0)


def find_neighbors(
    vectors: Floats,
    table: SegmentTable,
    settings: MiningSettings,
    folder: Path,
    *,
    progress: Progress = no_progress,
    chunk_rows: int = CHUNK_ROWS,
    block_rows: int = BLOCK_ROWS,
) -> Neighbors:
    """Find the nearest neighbors of each segment among the segments that it may be paired with.

    The search is exact for up to `settings.exact_rows` segments. For more segments, it uses inverted lists, which find
    most of the neighbors; see `measure_recall`.

    Args:
        vectors: float32 unit vectors in the order of the table, shape (n, d); may be mapped from a file.
        table: the segments.
        settings: number and relation of neighbors.
        folder: an existing folder for the neighbors.
        progress: counts segments.
        chunk_rows: minimum number of segments per intermediate file.
        block_rows: maximum number of segments that are searched together.

    Returns:
        The neighbors, mapped from files in the folder.
    """
    if not (folder / "done.json").exists():
        _search_and_merge(vectors, table, settings, folder, progress, chunk_rows, block_rows)
    similarities, rows = (read_array(folder / f"{name}.npy", _cure(folder)) for name in ("similarities", "rows"))
    return Neighbors(similarities, rows, read_json(folder / "done.json", _cure(folder))["is_approximate"])


def find_exact(
    vectors: Floats, table: SegmentTable, queries: Ints, settings: MiningSettings, *, tile_rows: int = _TILE_ROWS
) -> Nearest:
    """Find the neighbors of some segments exactly, by comparison with all others.

    Args:
        vectors: unit vectors, see `find_neighbors`.
        table: the segments.
        queries: rows of the segments whose neighbors are searched, shape (m,).
        settings: number and relation of neighbors.
        tile_rows: number of candidates in memory at a time.
    """
    found: list[Nearest] = []
    for low in range(0, len(table), tile_rows):
        candidates = np.arange(low, min(low + tile_rows, len(table)))
        tile = np.ascontiguousarray(vectors[low : candidates[-1] + 1])
        for start in range(0, len(queries), 16):
            some = queries[start : start + 16]
            similarities = np.asarray(vectors[some]) @ tile.T
            similarities[~table.may_pair(some[:, None], candidates[None], settings.relation)] = -np.inf
            found.append(_best_columns(similarities, low, settings.neighbors))
    blocks = -(-len(queries) // 16)
    tiles = [found[start : start + blocks] for start in range(0, len(found), blocks)]
    joined = [
        (np.concatenate([one for one, _ in tile]), np.concatenate([other for _, other in tile])) for tile in tiles
    ]
    return merge_nearest(joined, settings.neighbors)


def measure_recall(
    vectors: Floats, table: SegmentTable, neighbors: Neighbors, settings: MiningSettings, *, queries: int = 256
) -> float:
    """Measure the share of true neighbors that an approximate search found, by exact search for a sample of segments.

    The share is NaN if no segment of the sample has a neighbor.

    Args:
        vectors: unit vectors, see `find_neighbors`.
        table: the segments.
        neighbors: result of the search.
        settings: settings of the search.
        queries: number of segments in the sample.
    """
    rng = np.random.default_rng(settings.seed)
    some = np.sort(rng.choice(len(table), min(queries, len(table)), replace=False))
    _, right = find_exact(vectors, table, some, settings)
    is_found = (right[:, :, None] == np.asarray(neighbors.rows[some])[:, None]).any(axis=2) & (right >= 0)
    return float(is_found.sum() / (right >= 0).sum()) if (right >= 0).any() else float("nan")


def _search_and_merge(
    vectors: Floats,
    table: SegmentTable,
    settings: MiningSettings,
    folder: Path,
    progress: Progress,
    chunk_rows: int,
    block_rows: int,
) -> None:
    count = len(table)
    chunks = list(_chunks(plan_blocks(table, settings.relation, block_rows), chunk_rows))
    spans = [(low, min(low + settings.part_rows, count)) for low in range(0, count, settings.part_rows)]
    files = [[folder / f"found-{part:04}-{chunk:04}" for part, _ in enumerate(spans)] for chunk, _ in enumerate(chunks)]
    is_approximate = False
    for part, span in enumerate(spans):
        index = RangeIndex(vectors, span, settings)
        for chunk, blocks in enumerate(chunks):
            file = files[chunk][part]
            if not file.with_suffix(".json").exists():
                found = [_search_block(vectors, table, index, block, settings, part == 0) for block in blocks]
                _write_found(file, found, index.is_approximate)
            is_approximate |= read_json(file.with_suffix(".json"), _cure(folder))["is_approximate"]
            progress("neighbors", (part * count + blocks[-1].rows[1]) // len(spans), count)
    _merge(folder, files, count, settings.neighbors)
    write_json(folder / "done.json", {"is_approximate": is_approximate})
    for file in (file for parts in files for file in parts):
        for suffix in _SUFFIXES:
            file.with_suffix(suffix).unlink(missing_ok=True)


def _search_block(
    vectors: Floats,
    table: SegmentTable,
    index: RangeIndex,
    block: QueryBlock,
    settings: MiningSettings,
    with_gap: bool,
) -> Nearest:
    """Find the nearest neighbors of the segments of a block among the candidates in the range of an index.

    An index does not search a block's gap: the rows around the block, where many segments may not be paired.

    Args:
        vectors: unit vectors of all segments.
        table: all segments.
        index: index of a range of segments.
        block: the segments whose neighbors are searched.
        settings: number and relation of neighbors.
        with_gap: also compare the block with all segments of its gap.
    """
    queries = np.arange(*block.rows)
    found: list[Nearest] = [(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))]
    for nearest in index.search(block):
        if block.overlaps:
            nearest = without_forbidden(nearest, lambda rows: table.may_pair(queries[:, None], rows, settings.relation))
        found.append(nearest)
    if with_gap and block.has_pairs_in_gap:
        candidates = np.arange(*block.gap)
        similarities = np.asarray(vectors[slice(*block.rows)]) @ np.asarray(vectors[slice(*block.gap)]).T
        similarities[~table.may_pair(queries[:, None], candidates[None], settings.relation)] = -np.inf
        found.append(_best_columns(similarities, block.gap[0], settings.neighbors))
    return merge_nearest(found, settings.neighbors)


def _best_columns(similarities: Floats, first: int, wanted: int) -> Nearest:
    """Select the most similar candidates of each query, in any order.

    Args:
        similarities: similarity of each query to each candidate, shape (queries, candidates).
        first: row of the first candidate; the others follow it.
        wanted: number of candidates to select.
    """
    if wanted < similarities.shape[1]:
        columns = np.argpartition(-similarities, wanted - 1, axis=1)[:, :wanted]
        return np.take_along_axis(similarities, columns, axis=1), columns + first
    return similarities, np.broadcast_to(np.arange(similarities.shape[1]) + first, similarities.shape)


def _chunks(blocks: Iterable[QueryBlock], chunk_rows: int) -> Iterator[list[QueryBlock]]:
    """Group consecutive blocks into chunks of at least `chunk_rows` segments, whose neighbors are stored together."""
    chunk: list[QueryBlock] = []
    for block in blocks:
        chunk.append(block)
        if block.rows[1] - chunk[0].rows[0] >= chunk_rows:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _write_found(file: Path, found: Sequence[Nearest], is_approximate: bool) -> None:
    write_array(file.with_suffix(".similarities.npy"), np.concatenate([one for one, _ in found]).astype(np.float32))
    write_array(file.with_suffix(".rows.npy"), np.concatenate([other for _, other in found]).astype(np.int32))
    write_json(file.with_suffix(".json"), {"is_approximate": is_approximate})


def _merge(folder: Path, files: Sequence[Sequence[Path]], count: int, wanted: int) -> None:
    """Merge stored search results into `similarities.npy` and `rows.npy`, the neighbors of all segments.

    Args:
        folder: folder for both files.
        files: for each chunk of segments, the results of each range of candidates, as paths without suffix.
        count: number of segments.
        wanted: number of neighbors per segment.
    """
    with atomic_file(folder / "similarities.npy") as similarities, atomic_file(folder / "rows.npy") as rows:
        write_array_header(similarities, np.dtype(np.float32), (count, wanted))
        write_array_header(rows, np.dtype(np.int32), (count, wanted))
        for parts in files:
            found = [
                (
                    read_array(file.with_suffix(".similarities.npy"), _cure(folder)),
                    read_array(file.with_suffix(".rows.npy"), _cure(folder)),
                )
                for file in parts
            ]
            best = merge_nearest(found, wanted)
            similarities.write(best[0].astype(np.float32).tobytes())
            rows.write(best[1].astype(np.int32).tobytes())


def _cure(folder: Path) -> str:
    return f"delete {folder} and mine again"
