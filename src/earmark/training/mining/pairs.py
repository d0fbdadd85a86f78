"""Pairs of segments that are alike: each once, although either may have found the other."""

from collections.abc import Iterator
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.files import atomic_file
from earmark.data.lists.segment_pairs import SegmentPair
from earmark.training.mining.neighbors import Neighbors
from earmark.training.mining.segment_table import Ints, Places

Floats = NDArray[np.floating]

_GROUP_ROWS = 65_536


def kept_pairs(neighbors: Neighbors, threshold: float, *, is_mutual: bool) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Pairs from a threshold on, piece by piece: first and second segments and similarities, shapes (m,).

    Args:
        neighbors: of all segments.
        threshold: least similarity.
        is_mutual: only where each is a neighbor of the other.
    """
    for queries, similarities, rows in neighbors.pieces(is_mutual=is_mutual):
        is_kept = similarities >= threshold
        # A pair that both sides found is the first one's.
        is_kept &= (queries[:, None] < rows) | ~neighbors.holds(rows, queries[:, None], threshold)
        which, columns = np.nonzero(is_kept)
        yield queries[which], rows[which, columns], similarities[which, columns]


def listed_pairs(neighbors: Neighbors, places: Places, threshold: float, *, is_mutual: bool) -> Iterator[SegmentPair]:
    """The same pairs as lists write them, one after the other."""
    for first, second, similarities in kept_pairs(neighbors, threshold, is_mutual=is_mutual):
        for one, other, similarity in zip(first.tolist(), second.tolist(), similarities.tolist(), strict=True):
            yield SegmentPair(places.span(one), places.span(other), similarity)


def write_pair_manifest(
    neighbors: Neighbors, places: Places, threshold: float, path: Path, corpus: Path, *, is_mutual: bool
) -> int:
    """Write pairs as a Parquet manifest, piece by piece; return their number.

    The two clips of pair n, and no others, have the label `pairn`.

    Args:
        neighbors: of all segments.
        places: of them.
        threshold: least similarity.
        path: .parquet; complete, or not there.
        corpus: folder that the paths start from.
        is_mutual: only where each is a neighbor of the other.
    """
    arrow = _pyarrow(path)
    names = ("path", "start_s", "end_s", "speaker", "label", "split", "text")
    times = ("start_s", "end_s")
    schema = arrow.schema([(name, arrow.float64() if name in times else arrow.string()) for name in names])
    files = np.array([_moved(file, corpus, path.parent) for file in places.names.file], np.object_)
    speakers = np.array(places.names.speaker, np.object_)
    count = 0
    with atomic_file(path) as file, arrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for first, second, _ in kept_pairs(neighbors, threshold, is_mutual=is_mutual):
            rows = places.rows[np.stack([first, second], axis=1).ravel()]
            columns = {name: rows[name] for name in times}
            columns |= {"path": files[rows["file"]], "speaker": speakers[rows["speaker"]]}
            columns["label"] = np.array([f"pair{count + row // 2}" for row in range(len(rows))], np.object_)
            columns |= {name: np.full(len(rows), "", np.object_) for name in ("split", "text")}
            arrays = [arrow.array(columns[name], schema.field(name).type) for name in names]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema), row_group_size=_GROUP_ROWS)
            count += len(first)
    return count


def _moved(file: str, corpus: Path, folder: Path) -> str:
    """A path that leads to the same file from another folder; absolute when it lies outside of that."""
    place = (corpus / file).absolute()
    home = folder.absolute()
    return relpath(place, home) if place.is_relative_to(home) else str(place)


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install 'earmark[data]'") from None
    return pyarrow
