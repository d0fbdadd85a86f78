"""Files that are there as a whole or not at all, also after a power cut or on a full disk."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import EarmarkError
from earmark.core.numbers import finite

PARTIAL = ".partial-"
"""What names of unfinished files and folders begin with."""


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file, and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file, and wait until it is on the disk.

    Not by `np.save`: on a full disk that says how many items it wrote, and not why.
    """
    with path.open("wb") as file:
        write_head(file, array.dtype, array.shape)
        file.write(array.tobytes())
        file.flush()
        os.fsync(file.fileno())


def write_head(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """The head of an .npy file whose rows follow: a mapped file that grows on a full disk would end the process."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )


def read_array(path: Path) -> NDArray[Any]:
    """An .npy file, mapped into memory where it holds anything.

    Raises:
        ValueError: no .npy file, or a part of one.
        OSError: it cannot be read.
    """
    # An empty array cannot be mapped; 128 bytes are the header.
    return np.load(path, mmap_mode="r" if path.stat().st_size > 128 else None, allow_pickle=False)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which gets its name, perhaps an older one's, when all is written."""
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        # On a full disk that is the error to hear of, not one of the cleaning up.
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in the place of an older one; who reads sees the one or the other."""
    with new_file(path) as file:
        file.write(content)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name when all is written."""
    partial = path.with_name(f"{PARTIAL}{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        sync_folder(partial)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other programs from writing into a folder; the system lifts the lock when the process dies.

    Raises:
        EarmarkError: another one is writing there.
    """
    # SQLite's lock of a file is the one in the standard library that works on every system.
    connection = sqlite3.connect(folder / ".lock", timeout=0, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise EarmarkError(f"{folder}: another earmark index is writing there; wait for it") from None
            raise EarmarkError(f"{folder}: cannot be written ({error}); check its permissions and the disk") from None
        yield
    finally:
        connection.close()


def as_json(document: Any) -> bytes:
    """A document as one line of JSON."""
    return (json.dumps(finite(document), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()
