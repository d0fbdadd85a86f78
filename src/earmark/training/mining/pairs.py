"""Pairs of similar segments; a pair appears once, even if each segment is a neighbor of the other."""

from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.files import atomic_file
from earmark.data.lists.segment_pairs import SegmentPair
from earmark.data.manifest import import_pyarrow
from earmark.training.mining.neighbors import Neighbors
from earmark.training.mining.segment_table import Ints, SegmentTable

Floats = NDArray[np.floating]

_GROUP_ROWS = 65_536


def kept_pairs(neighbors: Neighbors, threshold: float, *, mutual: bool) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Yield all pairs of neighbors whose similarity is at least the threshold, in pieces of m pairs.

    A piece has the rows of the first segments, the rows of the second segments, and the similarities, each of
    shape (m,).

    Args:
        neighbors: neighbors of all segments.
        threshold: minimum similarity.
        mutual: keep only pairs in which each segment is a neighbor of the other.
    """
    for queries, similarities, rows in neighbors.pieces(mutual=mutual):
        is_kept = similarities >= threshold
        # If both segments are neighbors of each other, the pair is listed for the segment with the lower row.
        is_kept &= (queries[:, None] < rows) | ~neighbors.contain(rows, queries[:, None], threshold)
        which, columns = np.nonzero(is_kept)
        yield queries[which], rows[which, columns], similarities[which, columns]


def listed_pairs(neighbors: Neighbors, table: SegmentTable, threshold: float, *, mutual: bool) -> Iterator[SegmentPair]:
    """Yield the pairs of `kept_pairs` one by one, with the paths, speakers and times of both segments."""
    for first, second, similarities in kept_pairs(neighbors, threshold, mutual=mutual):
        for one, other, similarity in zip(first.tolist(), second.tolist(), similarities.tolist(), strict=True):
            yield SegmentPair(table.span(one), table.span(other), similarity)


def write_pair_manifest(
    neighbors: Neighbors, table: SegmentTable, threshold: float, path: Path, corpus: Path, *, mutual: bool
) -> int:
    """Write the mined pairs of segments as a Parquet manifest, and return their number.

    The two clips of a pair have the same label: `pair0`, `pair1`, and so on.

    Args:
        neighbors: neighbors of all segments.
        table: the segments.
        threshold: minimum similarity.
        path: the .parquet file to write.
        corpus: folder that the paths of the segments start from.
        mutual: keep only pairs in which each segment is a neighbor of the other.
    """
    arrow = import_pyarrow(path)
    names = ("path", "start_s", "end_s", "speaker", "label", "split", "text")
    times = ("start_s", "end_s")
    schema = arrow.schema([(name, arrow.float64() if name in times else arrow.string()) for name in names])
    files = np.array([_rebased(file, corpus, path.parent) for file in table.names.file], np.object_)
    speakers = np.array(table.names.speaker, np.object_)
    count = 0
    with atomic_file(path) as file, arrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for first, second, _ in kept_pairs(neighbors, threshold, mutual=mutual):
            rows = table.rows[np.stack([first, second], axis=1).ravel()]
            columns = {name: rows[name] for name in times}
            columns |= {"path": files[rows["file"]], "speaker": speakers[rows["speaker"]]}
            columns["label"] = np.array([f"pair{count + row // 2}" for row in range(len(rows))], np.object_)
            columns |= {name: np.full(len(rows), "", np.object_) for name in ("split", "text")}
            arrays = [arrow.array(columns[name], schema.field(name).type) for name in names]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema), row_group_size=_GROUP_ROWS)
            count += len(first)
    return count


def _rebased(file: str, corpus: Path, folder: Path) -> str:
    """Convert a path relative to `corpus` to a path relative to `folder`, or absolute if it is outside `folder`."""
    path = (corpus / file).absolute()
    base = folder.absolute()
    return relpath(path, base) if path.is_relative_to(base) else str(path)
