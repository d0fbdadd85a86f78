"""Write embeddings of segments to a Parquet file, recording by recording."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import writing
from earmark.core.files import atomic_path
from earmark.data.manifest import Clip, import_pyarrow

Floats = NDArray[np.floating]

ROWS = 16_384
"""Number of segments in a row group; memory holds one row group and the segments of one recording."""


def write_table(
    file: Path, embedded: Iterable[tuple[Sequence[Clip], Floats]], made_by: Mapping[str, str], *, rows: int = ROWS
) -> int:
    """Write embeddings to a Parquet file while they are computed; return their number.

    The file appears when all embeddings are written. Without embeddings, no file is written.

    The columns are `path`, `start_s`, `end_s` (null: end of the file), `speaker`, `label` as in a manifest, and
    `vector`, a list of d float32.

    Args:
        file: .parquet; its folder is created if missing.
        embedded: segments and their vectors, shape (m, d), recording by recording.
        made_by: metadata of the file by name; names get the prefix `earmark.`.
        rows: number of segments of a row group.

    Raises:
        MissingPackage: pyarrow is not installed.
        EarmarkError: the file cannot be written, or the disk is full.
    """
    arrow = import_pyarrow(file, other="an .npz")
    count = 0
    with atomic_path(file) as draft, writing(file):
        writer: Any = None
        try:
            for clips, vectors in _row_groups(embedded, rows):
                table = _table(arrow, clips, vectors, made_by)
                if writer is None:
                    writer = arrow.parquet.ParquetWriter(draft, table.schema, compression="zstd")
                writer.write_table(table, row_group_size=rows)
                count += len(clips)
        finally:
            if writer is not None:
                writer.close()
    return count


def _row_groups(
    embedded: Iterable[tuple[Sequence[Clip], Floats]], rows: int
) -> Iterable[tuple[list[Clip], NDArray[Any]]]:
    """Join the segments and vectors of consecutive recordings until they are at least `rows` segments; yield them."""
    clips: list[Clip] = []
    vectors: list[Floats] = []
    for some, some_vectors in embedded:
        clips += some
        vectors.append(some_vectors)
        if len(clips) >= rows:
            yield clips, np.concatenate(vectors)
            clips, vectors = [], []
    if vectors:
        yield clips, np.concatenate(vectors)


def _table(arrow: Any, clips: Sequence[Clip], vectors: NDArray[Any], made_by: Mapping[str, str]) -> Any:
    flat = arrow.array(np.ascontiguousarray(vectors, np.float32).ravel())
    columns = {
        "path": arrow.array([clip.path for clip in clips], arrow.string()),
        "start_s": arrow.array([clip.start_s for clip in clips], arrow.float64()),
        "end_s": arrow.array([clip.end_s for clip in clips], arrow.float64()),
        "speaker": arrow.array([clip.speaker for clip in clips], arrow.string()),
        "label": arrow.array([clip.label for clip in clips], arrow.string()),
        "vector": arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
    }
    return arrow.table(columns).replace_schema_metadata({f"earmark.{name}": text for name, text in made_by.items()})
