"""Folders of intermediate results: what made them stands in them, and a file is there as a whole or not at all."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from earmark.errors import InputError

STAMP = "stamp.json"
"""What made a folder's files."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which gets its name when all is written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        # On a full disk that is the error to hear of, not one of the cleaning up.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when it is full."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_head(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """The head of an .npy file whose rows follow: a mapped file that grows on a full disk would end the process."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )


def write_array(path: Path, array: NDArray[Any]) -> None:
    """An .npy file. Not by `np.save`, which does not say that the disk is full."""
    with whole_file(path) as file:
        write_head(file, array.dtype, array.shape)
        file.write(np.ascontiguousarray(array).tobytes())


def map_array(path: Path) -> NDArray[Any]:
    """An .npy file, read as its rows are asked for.

    Raises:
        InputError: it is damaged.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, FileNotFoundError):
        raise InputError(f"{path}: damaged or missing; delete {path.parent} and mine again") from None


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        InputError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, FileNotFoundError):
        raise InputError(f"{path}: damaged or missing; delete {path.parent} and mine again") from None


def write_json(path: Path, content: Any) -> None:
    """A JSON file."""
    with whole_file(path) as file:
        file.write(json.dumps(content, ensure_ascii=False).encode())


def claim(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Make a folder for what this stamp makes, or go on in it.

    Raises:
        InputError: it holds what something else made; the message says what differs.
    """
    place = folder / STAMP
    if place.exists():
        found = read_json(place)
        for key in stamp:
            if found.get(key) != stamp[key]:
                raise InputError(
                    f"{folder}: holds embeddings of another {key} ({found.get(key)}, now {stamp[key]}); name another"
                    " --out, or delete that folder"
                )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(place, stamp)


def renew(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Make a folder for what this stamp makes, or go on in it; what something else made is deleted."""
    place = folder / STAMP
    if place.exists() and read_json(place) != stamp:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        write_json(place, stamp)
