"""Atomic files and folders: complete or absent, also after a crash, a power cut or on a full disk.

A writer works in a draft folder of its own beside the target. The draft replaces the target when it is complete and on
the disk. An error removes the draft; the next write into the same folder removes the drafts of crashed processes.

    with atomic_file(path) as file:  # a binary file
        np.savez(file, **arrays)
    with atomic_path(path, mode=0o600) as draft:  # for libraries that open a path, SQLite included
        onnx.save(graph, str(draft))
    with atomic_folder(path) as draft:
        write_array(draft / "vectors.npy", vectors)
    with folder_lock(folder):  # one writer at a time
        ...

Every function that writes creates missing parent folders and raises `EarmarkError` where a system call fails.
"""

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from earmark.core.errors import EarmarkError, InputError, writing

if TYPE_CHECKING:
    from filelock import BaseFileLock

DRAFT = ".partial-"
"""Prefix of the names of drafts."""

CURE = "delete the file and run the same command again"
"""What to do about a damaged file, for messages."""

_DRAFT_NAME = re.compile(re.escape(DRAFT) + "[0-9a-f]{16}")
_IS_POSIX = os.name == "posix"


@contextmanager
def atomic_file(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends without an error.

    Args:
        path: the file to write.
        mode: permissions, such as 0o600 for voices; None for the system's default.
    """
    with atomic_path(path, mode=mode) as draft, draft.open("xb") as file:
        yield file


@contextmanager
def atomic_path(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """Yield the path of a draft that replaces `path` when the block ends without an error.

    The draft has the name of `path`, suffix included, and does not exist yet. Its folder belongs to this writer alone,
    is private, and is removed with all side files. A block that creates no draft leaves `path` as it is.

    Args:
        path: the file to write.
        mode: permissions, such as 0o600 for voices; None for what the block gave the draft.
    """
    with writing(path), scratch_folder(path.parent) as scratch:
        draft = scratch / path.name
        yield draft
        if draft.exists():
            if mode is not None:
                draft.chmod(mode)
            _sync(draft)
            draft.replace(path)
            _sync(path.parent)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` when the block ends without an error.

    Args:
        path: the folder to write.
        replace: True replaces an existing folder. False keeps it and drops the draft: if several writers make the same
            content, the first one wins.
    """
    with writing(path), scratch_folder(path.parent) as scratch:
        draft, old = scratch / path.name, scratch / f"{path.name}.old"
        draft.mkdir()
        yield draft
        for entry in (*draft.rglob("*"), draft):
            if not entry.is_symlink():
                _sync(entry)
        if replace and path.is_dir():
            path.rename(old)
        try:
            draft.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
                raise
            if replace or not path.is_dir():
                raise
        _sync(path.parent)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty private folder inside `parent`, on the same disk; at the end it is removed with all its files.

    For several files that the block itself moves into place. An `OSError` is not converted.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(parent)
    while True:
        # A new random name: no other program can have created a file or link there. The mode keeps other users out.
        draft = parent / f"{DRAFT}{secrets.token_hex(8)}"
        draft.mkdir(mode=0o700 if _IS_POSIX else 0o777)  # on Windows 0o700 would stay with the finished file
        # The lock shows that the writer is alive. An unlocked draft may be removed as stale: then try another name.
        if lock := _lock(draft):
            break
    try:
        scratch = draft / "new"
        scratch.mkdir()
        yield scratch
    finally:
        _remove(draft, lock)


def remove_drafts(folder: Path) -> None:
    """Remove the drafts of crashed writers from a folder; drafts of running writers and of other users stay."""
    # Check names first: there may be many thousands of files.
    for name in os.listdir(folder):
        if name.startswith(DRAFT) and _DRAFT_NAME.fullmatch(name):
            draft = folder / name
            with suppress(OSError):
                found = draft.lstat()
                is_own = not _IS_POSIX or found.st_uid == os.geteuid()
                if is_own and stat.S_ISDIR(found.st_mode) and (lock := _lock(draft)):
                    _remove(draft, lock)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder; the system releases the lock when the process dies.

    Raises:
        EarmarkError: another process holds the lock, or it cannot be created.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise EarmarkError(f"{folder}: another process is writing there; wait until it ends") from None
    try:
        yield
    finally:
        lock.release()


def write_bytes(path: Path, content: bytes | memoryview, *, mode: int | None = None) -> None:
    """Write a file atomically."""
    with atomic_file(path, mode=mode) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8, with line ends as they are in `text`."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any, *, indent: int | None = None) -> None:
    """Write a JSON file atomically: on one line, or indented."""
    separators = (",", ":") if indent is None else None
    write_text(path, json.dumps(document, ensure_ascii=False, indent=indent, separators=separators) + "\n")


def read_json(path: Path, cure: str = CURE) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        cure: what to do if the file is damaged or missing, for the message.

    Raises:
        InputError: the file is damaged or missing.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path}: the file is damaged or missing; {cure}") from None


def _lock(draft: Path) -> "BaseFileLock | None":
    """Lock a draft folder and return the lock; None if another process has locked or removed it."""
    from filelock import FileLock, Timeout

    lock = FileLock(draft / "lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except OSError:
        if draft.exists():
            raise
        return None
    return lock


def _remove(draft: Path, lock: "BaseFileLock") -> None:
    """Remove a draft folder that this process has locked."""
    shutil.rmtree(draft / "new", ignore_errors=True)
    with suppress(OSError):
        if _IS_POSIX:  # before the release: afterwards another process may use the file
            (draft / "lock").unlink()
    lock.release()
    with suppress(OSError):
        if not _IS_POSIX:  # Windows refuses to remove an open file
            (draft / "lock").unlink()
    with suppress(OSError):
        draft.rmdir()


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    is_folder = path.is_dir()
    if is_folder and not _IS_POSIX:
        return
    descriptor = os.open(path, os.O_RDONLY if _IS_POSIX else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives cannot
            raise
    finally:
        os.close(descriptor)
