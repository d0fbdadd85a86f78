"""The nearest neighbors of every segment, on disk: found chunk by chunk, so that a run goes on where it stopped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import write_array, write_array_header
from earmark.core.files import atomic_file, write_json
from earmark.core.progress import Progress, no_progress
from earmark.training.mining.folders import map_array, read_json
from earmark.training.mining.search import Found, Part, best_of, only
from earmark.training.mining.search_plan import Batch, plan_batches
from earmark.training.mining.segment_table import Bools, Ints, Places
from earmark.training.mining.settings import MiningSettings

Floats = NDArray[np.floating]

CHUNK_ROWS = 65_536
_TILE_ROWS = 131_072
_PIECE = 2**22


@dataclass(frozen=True, eq=False)
class Neighbors:
    """What was found for each segment, the most similar first.

    Attributes:
        similarities: cosines, shape (n, k); -inf where there is no such neighbor.
        rows: which segments they are, shape (n, k); -1 where there is none.
        is_approximate: whether inverted lists were used.
    """

    similarities: Floats
    rows: Ints
    is_approximate: bool

    def pieces(self, *, is_mutual: bool) -> Iterator[tuple[Ints, Floats, Ints]]:
        """Queries, shape (b,), with their neighbors, shapes (b, k).

        Args:
            is_mutual: leave out (-inf) neighbors whose own neighbors do not hold the query.
        """
        count, width = self.rows.shape
        step = max(1, _PIECE // width**2)
        for low in range(0, count, step):
            queries = np.arange(low, min(low + step, count))
            similarities, rows = np.array(self.similarities[queries]), np.array(self.rows[queries])
            if is_mutual:
                similarities[~self.holds(rows, queries[:, None])] = -np.inf
            yield queries, similarities, rows

    def holds(self, rows: Ints, others: Ints, threshold: float = -np.inf) -> Bools:
        """Whether segments have others among their neighbors, at least so similar; shapes are broadcast."""
        is_other = self.rows[rows] == others[..., None]
        return (is_other & (self.similarities[rows] >= threshold)).any(axis=-1) & (rows >= 0)


def find_neighbors(
    vectors: Floats, places: Places, settings: MiningSettings, folder: Path, *, progress: Progress = no_progress
) -> Neighbors:
    """Find the nearest neighbors of every segment among those that it may be paired with.

    None is lost where all are compared, that is up to `settings.exact_rows` segments; beyond, inverted lists find
    most of them (see `recall`).

    Args:
        vectors: of unit length, in the order of `places`, shape (n, d) float32; may be mapped from a file.
        places: the segments.
        settings: how many neighbors, and of whom.
        folder: that keeps what is found.
        progress: called with the number of finished segments.

    Returns:
        Mapped from files in the folder.
    """
    if not (folder / "done.json").exists():
        chunks = list(_chunks(plan_batches(places, settings.relation)))
        spans = [(low, min(low + settings.part_rows, len(places))) for low in range(0, len(places), settings.part_rows)]
        files = {
            (part, chunk): folder / f"found-{part:04}-{chunk:04}"
            for part, _ in enumerate(spans)
            for chunk, _ in enumerate(chunks)
        }
        is_approximate = False
        for number, span in enumerate(spans):
            part = Part(vectors, span, settings)
            for chunk, batches in enumerate(chunks):
                file = files[number, chunk]
                done = (number * len(places) + batches[-1].rows[1]) // len(spans)
                if not file.with_suffix(".json").exists():
                    found = [_answered(vectors, places, part, batch, settings, number == 0) for batch in batches]
                    _write_found(file, found, part.is_approximate)
                is_approximate |= read_json(file.with_suffix(".json"))["is_approximate"]
                progress("neighbors", done, len(places))
        _merge(
            folder,
            [[files[part, chunk] for part, _ in enumerate(spans)] for chunk, _ in enumerate(chunks)],
            len(places),
            settings.neighbors,
        )
        write_json(folder / "done.json", {"is_approximate": is_approximate})
        for file in files.values():
            for suffix in (".similarities.npy", ".rows.npy", ".json"):
                file.with_suffix(suffix).unlink(missing_ok=True)
    similarities, rows = (map_array(folder / f"{name}.npy") for name in ("similarities", "rows"))
    return Neighbors(similarities, rows, read_json(folder / "done.json")["is_approximate"])


def exact_neighbors(vectors: Floats, places: Places, queries: Ints, settings: MiningSettings) -> Found:
    """Neighbors of some segments, each compared with all others: slow, and lacks nothing."""
    found: list[Found] = []
    for low in range(0, len(places), _TILE_ROWS):
        candidates = np.arange(low, min(low + _TILE_ROWS, len(places)))
        tile = np.ascontiguousarray(vectors[low : candidates[-1] + 1])
        for start in range(0, len(queries), 16):
            some = queries[start : start + 16]
            similarities = np.asarray(vectors[some]) @ tile.T
            similarities[~places.may_pair(some[:, None], candidates[None], settings.relation)] = -np.inf
            found.append(_best_columns(similarities, low, settings.neighbors))
    blocks = -(-len(queries) // 16)
    tiles = [found[start : start + blocks] for start in range(0, len(found), blocks)]
    joined = [
        (np.concatenate([one for one, _ in tile]), np.concatenate([other for _, other in tile])) for tile in tiles
    ]
    return best_of(joined, settings.neighbors)


def recall(
    vectors: Floats, places: Places, neighbors: Neighbors, settings: MiningSettings, *, queries: int = 256
) -> float:
    """Share of the true neighbors of some segments that were found; NaN where they have none."""
    rng = np.random.default_rng(settings.seed)
    some = np.sort(rng.choice(len(places), min(queries, len(places)), replace=False))
    _, right = exact_neighbors(vectors, places, some, settings)
    is_found = (right[:, :, None] == np.asarray(neighbors.rows[some])[:, None]).any(axis=2) & (right >= 0)
    return float(is_found.sum() / (right >= 0).sum()) if (right >= 0).any() else float("nan")


def _answered(
    vectors: Floats, places: Places, part: Part, batch: Batch, settings: MiningSettings, with_gap: bool
) -> Found:
    """Neighbors of a batch in a part, and, once, those in its gap."""
    queries = np.arange(*batch.rows)
    found = [_nothing(len(queries))]
    for similarities, rows in part.search(batch):
        some = similarities, rows
        if batch.spare:
            some = only(some, lambda rows: places.may_pair(queries[:, None], rows, settings.relation))
        found.append(some)
    if with_gap and batch.is_gap_open:
        candidates = np.arange(*batch.gap)
        similarities = np.asarray(vectors[slice(*batch.rows)]) @ np.asarray(vectors[slice(*batch.gap)]).T
        similarities[~places.may_pair(queries[:, None], candidates[None], settings.relation)] = -np.inf
        found.append(_best_columns(similarities, batch.gap[0], settings.neighbors))
    return best_of(found, settings.neighbors)


def _nothing(count: int) -> Found:
    return np.empty((count, 0), np.float32), np.empty((count, 0), np.int64)


def _best_columns(similarities: Floats, first: int, wanted: int) -> Found:
    """The best of each row, in no order."""
    if wanted < similarities.shape[1]:
        columns = np.argpartition(-similarities, wanted - 1, axis=1)[:, :wanted]
        return np.take_along_axis(similarities, columns, axis=1), columns + first
    return similarities, np.broadcast_to(np.arange(similarities.shape[1]) + first, similarities.shape)


def _chunks(batches: Iterator[Batch]) -> Iterator[list[Batch]]:
    """Batches whose results are kept in one file."""
    held: list[Batch] = []
    for batch in batches:
        held.append(batch)
        if held[-1].rows[1] - held[0].rows[0] >= CHUNK_ROWS:
            yield held
            held = []
    if held:
        yield held


def _write_found(file: Path, found: Sequence[Found], is_approximate: bool) -> None:
    write_array(file.with_suffix(".similarities.npy"), np.concatenate([one for one, _ in found]).astype(np.float32))
    write_array(file.with_suffix(".rows.npy"), np.concatenate([other for _, other in found]).astype(np.int32))
    write_json(file.with_suffix(".json"), {"is_approximate": is_approximate})


def _merge(folder: Path, chunks: Sequence[Sequence[Path]], count: int, wanted: int) -> None:
    with atomic_file(folder / "similarities.npy") as similarities, atomic_file(folder / "rows.npy") as rows:
        write_array_header(similarities, np.dtype(np.float32), (count, wanted))
        write_array_header(rows, np.dtype(np.int32), (count, wanted))
        for files in chunks:
            best = best_of(
                [
                    (map_array(file.with_suffix(".similarities.npy")), map_array(file.with_suffix(".rows.npy")))
                    for file in files
                ],
                wanted,
            )
            similarities.write(best[0].astype(np.float32).tobytes())
            rows.write(best[1].astype(np.int32).tobytes())
