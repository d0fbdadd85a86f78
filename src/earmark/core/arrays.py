"""Arrays in .npy and .npz files, written atomically and never unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.files import CURE, atomic_file


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file atomically."""
    with atomic_file(path) as file:
        write_array_header(file, array.dtype, array.shape)
        file.write(array.tobytes())  # not np.save: on a full disk its message does not name the reason


def write_array_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the header of an .npy file, to which the caller then appends the rows of the array.

    This suits an array larger than memory: unlike a memory map, it does not end the process when the disk is full.
    """
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def read_array(path: Path, cure: str = CURE) -> NDArray[Any]:
    """Open an .npy file as a read-only memory map.

    Args:
        path: the file.
        cure: what to do if the file is damaged or missing, for the message.

    Raises:
        InputError: the file is damaged or missing.
    """
    try:
        # An empty array cannot be mapped, so it is read. 128 bytes are the header.
        return np.load(path, mmap_mode="r" if path.stat().st_size > 128 else None, allow_pickle=False)
    except (OSError, EOFError, ValueError):
        raise InputError(f"{path}: the file is damaged or missing; {cure}") from None


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz file atomically."""
    named: dict[str, Any] = dict(arrays)
    with atomic_file(path) as file:
        np.savez(file, **named)


def read_arrays(path: Path, cure: str = CURE) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz file, by name.

    Args:
        path: the file.
        cure: what to do if the file is damaged or missing, for the message.

    Raises:
        InputError: the file is damaged or missing.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, TypeError, BadZipFile):  # TypeError: an .npy file
        raise InputError(f"{path}: the file is damaged or missing; {cure}") from None
