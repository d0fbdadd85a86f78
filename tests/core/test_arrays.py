from pathlib import Path

import numpy as np
import pytest

from earmark.core.arrays import read_array, read_arrays, write_array, write_array_header, write_arrays
from earmark.core.errors import InputError
from earmark.core.files import atomic_file


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3), np.float16), np.eye(2, 3, dtype=np.float32).T, np.array(["a", "bc"])]
)
def test_an_array_is_written_and_mapped(tmp_path: Path, array: np.ndarray):
    path = tmp_path / "array.npy"
    write_array(path, array)
    found = read_array(path)
    assert (found.dtype, found.tolist()) == (array.dtype, array.tolist())
    assert isinstance(found, np.memmap) == bool(array.size)


def test_arrays_are_written_and_read(tmp_path: Path):
    path = tmp_path / "arrays.npz"
    write_arrays(path, {"one": np.arange(3), "two": np.array("text")})
    assert {name: array.tolist() for name, array in read_arrays(path).items()} == {"one": [0, 1, 2], "two": "text"}
    np.savez(tmp_path / "objects.npz", one=np.array([{}]))
    write_array(tmp_path / "array.npy", np.arange(3))
    (tmp_path / "half.npz").write_bytes(path.read_bytes()[:100])
    for broken in ("objects.npz", "array.npy", "half.npz", "missing.npz"):
        with pytest.raises(InputError, match=broken):
            read_arrays(tmp_path / broken)


def test_rows_may_follow_a_header(tmp_path: Path):
    path = tmp_path / "array.npy"
    with atomic_file(path) as file:
        write_array_header(file, np.dtype(np.int64), (0, 2))
        file.write(np.arange(4).tobytes())
        file.seek(0)
        write_array_header(file, np.dtype(np.int64), (2, 2))
    assert read_array(path).tolist() == [[0, 1], [2, 3]]


def test_a_damaged_array_is_reported(tmp_path: Path):
    path = tmp_path / "array.npy"
    write_array(path, np.arange(100))
    path.write_bytes(path.read_bytes()[:200])
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    for broken in (path, tmp_path / "objects.npy", tmp_path / "missing.npy"):
        with pytest.raises(InputError, match="mine again"):
            read_array(broken, "mine again")
