from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.core.vector_cache import Arrays, VectorCache

KEY = {"fingerprint": "abc", "crops": 2, "seed": None}


def test_vectors_are_kept_under_their_key(tmp_path: Path):
    file = tmp_path / "new" / "vectors.npz"
    with VectorCache(file, KEY) as cache:
        assert cache.missing(["a", "b", "a"]) == ["a", "b"]
        cache.add({"silent": None, "b": np.array([1, 2], np.float32), "a": np.array([3, 4], np.float32)})
    again = VectorCache(file, KEY)
    assert [*again.vectors] == ["b", "a", "silent"]
    assert again.vectors["silent"] is None
    assert {one: vector.tolist() for one, vector in again.vectors.items() if vector is not None} == {
        "a": [3, 4],
        "b": [1, 2],
    }
    assert again.missing(["a", "c"]) == ["c"]
    assert VectorCache(file, {**KEY, "crops": 3}).vectors == {}


def test_an_interrupted_run_keeps_what_it_has(tmp_path: Path):
    file = tmp_path / "vectors.npz"

    def run() -> None:
        with VectorCache(file, KEY, save_every_s=0) as cache:
            cache.add({"a": np.array([1], np.float32)})
            assert file.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert [*VectorCache(file, KEY).vectors] == ["a"]


def test_an_empty_cache_is_written_and_read(tmp_path: Path):
    file = tmp_path / "vectors.npz"
    VectorCache(file, KEY).save()
    assert VectorCache(file, KEY, refuse_others=True).vectors == {}


@pytest.mark.parametrize("content", [b"PK\3\4 cut off", b"", b"text"])
def test_a_damaged_file_is_made_again_or_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "vectors.npz"
    file.write_bytes(content)
    assert VectorCache(file, KEY).vectors == {}
    with pytest.raises(InputError, match=r"vectors\.npz"):
        VectorCache(file, KEY, refuse_others=True)


def test_another_key_or_layout_is_refused(tmp_path: Path):
    file = tmp_path / "vectors.npz"
    VectorCache(file, KEY).save()
    with pytest.raises(InputError, match=r"crops \(2, now 3\)"):
        VectorCache(file, {**KEY, "crops": 3}, refuse_others=True)
    np.savez(file, vectors=np.zeros((2, 3)), key=np.array("{}"))
    with pytest.raises(InputError):
        VectorCache(file, {}, refuse_others=True)


def test_the_ids_may_be_in_arrays_of_another_layout(tmp_path: Path):
    """Embeddings of recordings, as `earmark evaluate` has kept them so far."""
    file = tmp_path / "embeddings.npz"
    np.savez(
        file,
        paths=np.array(["a.wav", "b.wav"]),
        silent=np.array(["c.wav"]),
        files=np.array(["1", "2", "3"]),
        vectors=np.array([[1], [2]], np.float32),
        key=np.array('{"fingerprint": "abc", "crops": 2, "seed": null}'),
    )

    def ids(arrays: Arrays) -> list[str]:
        return [
            f"{file} {path}" for path, file in zip([*arrays["paths"], *arrays["silent"]], arrays["files"], strict=True)
        ]

    def columns(found: Sequence[str], empty: Sequence[str]) -> Arrays:
        parts = [one.split(" ", 1) for one in (*found, *empty)]
        paths = [path for _, path in parts]
        return {
            "paths": np.array(paths[: len(found)], np.str_),
            "silent": np.array(paths[len(found) :], np.str_),
            "files": np.array([file for file, _ in parts], np.str_),
        }

    for _ in range(2):
        cache = VectorCache(file, KEY, ids=ids, arrays=columns)
        assert {one: vector is not None for one, vector in cache.vectors.items()} == {
            "1 a.wav": True,
            "2 b.wav": True,
            "3 c.wav": False,
        }
        cache.save()
