import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from earmark.core.arrays import read_array, write_array
from earmark.core.errors import EarmarkError, InputError
from earmark.core.files import (
    DRAFT,
    atomic_file,
    atomic_folder,
    atomic_path,
    folder_lock,
    read_json,
    remove_drafts,
    scratch_folder,
    write_bytes,
    write_json,
    write_text,
)

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and signals as POSIX has them")

CRASH = """
import sys, time
from pathlib import Path
from earmark.core.files import *
target = Path(sys.argv[1])
with {writer} as draft:
    {body}
    print("writing", flush=True)
    time.sleep(60)
"""


@contextmanager
def writer(
    target: Path, code: str = "atomic_path(target)", body: str = "draft.touch()"
) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing `target`."""
    program = CRASH.format(writer=code, body=body)
    process = subprocess.Popen([sys.executable, "-c", program, str(target)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_file_appears_when_the_block_ends(tmp_path: Path):
    path = tmp_path / "new" / "numbers.npz"
    with atomic_file(path) as file:
        np.savez(file, one=np.arange(3))
        assert not path.exists()
    with np.load(path) as arrays:
        assert arrays["one"].tolist() == [0, 1, 2]
    assert os.listdir(path.parent) == ["numbers.npz"]


def test_a_library_writes_to_a_draft_of_the_same_name(tmp_path: Path):
    path = tmp_path / "numbers.npz"
    with atomic_path(path) as draft:
        assert draft.name == "numbers.npz"
        np.savez(draft, one=np.arange(3))
        draft.with_name("numbers.npz-journal").touch()
    assert os.listdir(tmp_path) == ["numbers.npz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_no_draft(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_block_that_creates_no_draft_leaves_the_file_as_it_is(tmp_path: Path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with atomic_path(path):
        pass
    assert path.read_text() == "old"


def test_a_failed_system_call_names_the_target(tmp_path: Path):
    path = tmp_path / "file.txt"
    with pytest.raises(EarmarkError, match=r"file\.txt"), atomic_file(path):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(EarmarkError, match="file"):
        write_text(tmp_path / "file" / "below", "text")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files with RLIMIT_FSIZE")
def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path: Path):
    path = tmp_path / "array.npy"
    write_array(path, np.arange(3))
    program = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from earmark.core.errors import EarmarkError
from earmark.core.arrays import write_array
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_array(Path(sys.argv[1]), np.zeros(10_000))
except EarmarkError:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 7
    assert read_array(path).tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ["array.npy"]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_mode_holds_whatever_the_umask(tmp_path: Path, umask: int):
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "voices", b"", mode=0o600)
        write_bytes(tmp_path / "plain", b"")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert modes == {"voices": 0o600, "plain": 0o666 & ~umask, "folder": 0o777 & ~umask}


@posix
def test_nobody_else_can_read_a_draft(tmp_path: Path):
    with scratch_folder(tmp_path) as scratch:
        assert stat.S_IMODE(scratch.parent.stat().st_mode) == 0o700


@posix
def test_a_link_at_the_target_is_replaced_and_not_followed(tmp_path: Path):
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text("mine")
    path.symlink_to(victim)
    write_text(path, "new")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("mine", "new", False)


@posix
def test_a_link_with_the_name_of_a_draft_is_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    (victim / "new").mkdir(parents=True)
    (victim / "new" / "file").touch()
    (tmp_path / f"{DRAFT}{'0' * 16}").symlink_to(victim)
    write_text(tmp_path / "file", "text")
    assert os.listdir(victim) == ["new"]
    assert os.listdir(victim / "new") == ["file"]


def test_files_of_older_versions_and_of_users_stay(tmp_path: Path):
    names = {f"{DRAFT}contents.json", f"{DRAFT}0123", ".file.partial"}
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / f"{DRAFT}folder").mkdir()
    write_text(tmp_path / "file", "text")
    assert {*os.listdir(tmp_path)} == {*names, f"{DRAFT}folder", "file"}


@posix
@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("atomic_path(target)", "draft.touch()"),
        ("atomic_file(target)", "draft.write(bytes(9))"),
        ("atomic_folder(target)", "(draft / 'file').touch()"),
    ],
)
def test_the_next_write_removes_what_a_killed_writer_left(tmp_path: Path, code: str, body: str):
    for _ in range(2):
        with writer(tmp_path / "target", code, body) as process:
            process.send_signal(signal.SIGKILL)
    assert len(os.listdir(tmp_path)) == 1
    write_text(tmp_path / "other", "text")
    assert os.listdir(tmp_path) == ["other"]


@posix
def test_a_draft_without_a_lock_is_removed(tmp_path: Path):
    (tmp_path / f"{DRAFT}{'0' * 16}").mkdir()
    remove_drafts(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_running_writer_keeps_its_draft(tmp_path: Path):
    with writer(tmp_path / "target"):
        write_text(tmp_path / "other", "text")
        with atomic_file(tmp_path / "third"):  # and one of the same process
            remove_drafts(tmp_path)
            assert len([name for name in os.listdir(tmp_path) if name.startswith(DRAFT)]) == 2
    remove_drafts(tmp_path)
    assert {*os.listdir(tmp_path)} == {"other", "third"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_release_the_draft(tmp_path: Path):
    with atomic_file(tmp_path / "file") as file:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        with writer(tmp_path / "other"):
            file.write(b"text")
    assert (tmp_path / "file").read_bytes() == b"text"


def test_concurrent_writers_leave_one_whole_file(tmp_path: Path):
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(20):
                write_text(tmp_path / "file", str(number) * 1000)
                assert len({*(tmp_path / "file").read_text()}) == 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_appears_when_the_block_ends(tmp_path: Path):
    path = tmp_path / "folder"
    with atomic_folder(path) as draft:
        (draft / "below").mkdir()
        write_array(draft / "below" / "numbers.npy", np.arange(3))
        assert not path.exists()
    assert read_array(path / "below" / "numbers.npy").tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(ValueError, match="wrong"), atomic_folder(tmp_path / "other"):
        raise ValueError("wrong")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(("replace", "kept"), [(False, "old"), (True, "new")])
def test_a_folder_that_exists_is_kept_or_replaced(tmp_path: Path, replace: bool, kept: str):
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_folder(path, replace=replace) as draft:
            (draft / name).touch()
    assert os.listdir(path) == [kept]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_does_not_replace_a_file(tmp_path: Path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(EarmarkError), atomic_folder(path, replace=True):
        pass
    assert path.is_file()


def test_scratch_files_are_removed(tmp_path: Path):
    with scratch_folder(tmp_path) as scratch:
        (scratch / "one").touch()
        (scratch / "two").touch()
        (scratch / "one").replace(tmp_path / "one")
    assert os.listdir(tmp_path) == ["one"]


def test_a_lock_is_held_once_and_released_when_its_process_dies(tmp_path: Path):
    folder = tmp_path / "folder"
    with writer(folder, "folder_lock(target)", "pass"):
        with pytest.raises(EarmarkError, match="folder"), folder_lock(folder):
            pass
        write_text(folder / "file", "text")  # a lock keeps only those out who ask for it
    with folder_lock(folder), pytest.raises(EarmarkError), folder_lock(folder):
        pass
    with pytest.raises(OSError, match="inside"), folder_lock(folder):
        raise OSError("inside")
    with folder_lock(folder):
        pass


def test_json_is_written_and_read(tmp_path: Path):
    path, document = tmp_path / "file.json", {"name": "Übung", "numbers": [1, 2.5, None]}
    write_json(path, document)
    assert path.read_bytes() == '{"name":"Übung","numbers":[1,2.5,null]}\n'.encode()
    assert read_json(path) == document
    write_json(path, document, indent=1)
    assert json.loads(path.read_text(encoding="utf-8")) == document
    path.write_text("{")
    for broken in (path, tmp_path / "missing.json"):
        with pytest.raises(InputError, match="mine again"):
            read_json(broken, "mine again")
