"""Embeddings of segments as a Parquet file, written recording by recording."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import writing
from earmark.data.manifest import Clip, ManifestError

Floats = NDArray[np.floating]

ROWS = 16_384
"""Segments of a row group; as many are held in memory, and those of one recording."""


def write_table(
    file: Path, embedded: Iterable[tuple[Sequence[Clip], Floats]], made_by: Mapping[str, str], *, rows: int = ROWS
) -> int:
    """Write embeddings as they come; returns how many. The file is complete or it is not there.

    Columns are those of a manifest that say something about a segment, `path`, `start_s`, `end_s` (null: to the end),
    `speaker`, `label`, and `vector`, a list of d float32.

    Args:
        file: .parquet; its folder is made when absent.
        embedded: segments and their vectors, shape (m, d), recording by recording.
        made_by: stands in the file's metadata, as `earmark.NAME`.
        rows: of a row group.

    Raises:
        ManifestError: pyarrow is not installed.
        EarmarkError: the file cannot be written, or the disk is full.
    """
    arrow = _pyarrow(file)
    partial = file.with_name(f".{file.name}.partial")
    writer: Any = None
    count = 0
    held: list[tuple[Sequence[Clip], Floats]] = []
    waiting = 0

    def write() -> None:
        nonlocal writer, held, waiting
        clips = [clip for some, _ in held for clip in some]
        table = _table(arrow, clips, np.concatenate([vectors for _, vectors in held]), made_by)
        if writer is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            writer = arrow.parquet.ParquetWriter(partial, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=rows)
        held, waiting = [], 0

    with writing(file):
        try:
            for some, vectors in embedded:
                held.append((some, vectors))
                waiting += len(some)
                count += len(some)
                if waiting >= rows:
                    write()
            if held:
                write()
            if writer is not None:
                writer.close()
                partial.replace(file)
        finally:
            try:
                if writer is not None and writer.is_open:
                    writer.close()
            finally:
                partial.unlink(missing_ok=True)
    return count


def _table(arrow: Any, clips: Sequence[Clip], vectors: Floats, made_by: Mapping[str, str]) -> Any:
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


def _pyarrow(file: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ManifestError(f"{file}: Parquet needs pyarrow: pip install 'earmark[data]', or use an .npz") from None
    return pyarrow
