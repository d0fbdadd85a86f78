import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earmark.core.errors import InputError
from earmark.core.files import folder_lock, scratch_folder
from earmark.core.workspace import Workspace, stamped_result

STAMP = {"fingerprint": "abc", "crop": {"length_s": 1.5, "shape": (40, 3)}, "source": "here"}


def counted(value: Any) -> tuple[Callable[[], Any], list[int]]:
    """A function that returns a value, and a list that grows with each call."""
    calls: list[int] = []

    def make() -> Any:
        calls.append(1)
        return value

    return make, calls


def test_a_folder_is_created_and_continued(tmp_path: Path):
    work = Workspace(tmp_path / "new" / "folder", STAMP)
    assert not work.matches()
    work.check()
    assert work.open() == work.folder
    (work.folder / "result").touch()
    for again in (False, True):
        work.open(restart=again)
        assert work.matches()
        assert {*os.listdir(work.folder)} == {"stamp.json", "result"}


def test_another_stamp_is_refused_and_says_what_differs(tmp_path: Path):
    Workspace(tmp_path, STAMP).open()
    other = Workspace(tmp_path, {**STAMP, "crop": {"length_s": 2, "shape": [40, 3]}, "seed": 1})
    assert not other.matches()
    for refuse in (other.check, other.open):
        with pytest.raises(InputError, match=r"crop\.length_s \(1\.5, now 2\).*seed"):
            refuse()
    assert Workspace(tmp_path, STAMP).matches()


@pytest.mark.parametrize("key", ["fingerprint", "source"])
def test_notes_are_not_compared(tmp_path: Path, key: str):
    Workspace(tmp_path, STAMP).open()
    assert Workspace(tmp_path, {**STAMP, key: "other"}, notes=frozenset({"source"})).matches() == (key == "source")


def test_a_restart_deletes_what_another_stamp_made(tmp_path: Path):
    folder = Workspace(tmp_path / "folder", STAMP).open()
    (folder / "below").mkdir()
    (folder / "below" / "file").touch()
    (tmp_path / "outside").touch()
    if os.name == "posix":
        (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    with folder_lock(folder), scratch_folder(folder):
        Workspace(folder, "other").open(restart=True)
        with pytest.raises(InputError):
            Workspace(folder, STAMP).check()
        assert {"stamp.json", ".lock"} <= {*os.listdir(folder)}
        assert len(os.listdir(folder)) == 3  # and the scratch folder of a running writer
    assert (tmp_path / "outside").exists()


def test_a_restart_that_was_cut_off_is_no_match(tmp_path: Path):
    (tmp_path / "stamp.json").write_text("null")  # as it is while files are deleted
    (tmp_path / "result").touch()
    work = Workspace(tmp_path, STAMP)
    with pytest.raises(InputError):
        work.open()
    work.open(restart=True)
    assert os.listdir(tmp_path) == ["stamp.json"]


def test_a_restart_deletes_no_files_of_others(tmp_path: Path):
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="mine"):
        Workspace(tmp_path, STAMP).open(restart=True)
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_damaged_stamp_is_reported(tmp_path: Path, restart: bool):
    (tmp_path / "stamp.json").write_text('{"fingerp')
    with pytest.raises(InputError, match=r"stamp\.json"):
        Workspace(tmp_path, STAMP).open(restart=restart)


def test_stamps_of_earlier_versions_are_read(tmp_path: Path):
    (tmp_path / "stamp.json").write_text(json.dumps("0123456789ab"), encoding="utf-8")  # packed clips
    assert Workspace(tmp_path, "0123456789ab").matches()
    with pytest.raises(InputError, match="0123456789ab"):
        Workspace(tmp_path, "ba9876543210").check()
    (tmp_path / "settings.json").write_text(json.dumps(STAMP, indent=1), encoding="utf-8")  # a simulation
    assert Workspace(tmp_path, STAMP, name="settings.json").matches()


def test_a_result_is_made_once(tmp_path: Path):
    work = Workspace(tmp_path, STAMP)
    make, calls = counted({"pairs": (1, 2)})
    assert [work.result("counts", make) for _ in range(2)] == [{"pairs": [1, 2]}] * 2
    assert len(calls) == 1
    (tmp_path / "counts.json").write_text("{")
    with pytest.raises(InputError, match=r"counts\.json"):
        work.result("counts", make)


def test_a_stamped_result_is_made_once_a_stamp(tmp_path: Path):
    file = tmp_path / "evaluated.json"
    file.write_text(json.dumps({"stamp": [1, 2], "verdicts": [3]}))
    make, calls = counted((4,))
    assert stamped_result(file, (1, 2), make, name="verdicts") == [3]
    assert len(calls) == 0
    assert [stamped_result(file, (1, 3), make, name="verdicts") for _ in range(2)] == [[4], [4]]
    assert len(calls) == 1
    file.write_text("{")
    with pytest.raises(InputError):
        stamped_result(file, 1, make)
