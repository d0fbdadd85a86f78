"""The SQLite file of a store: connections, snapshots, and its errors with their cures."""

import sqlite3
from contextlib import closing
from pathlib import Path

from earmark.core.errors import EarmarkError, InputError
from earmark.store.migrations import migrate


def connect(path: Path, mode: str, *, timeout_s: float = 5.0) -> sqlite3.Connection:
    """Open a file; the mode is one of SQLite's: ro, rw, rwc."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)


def connect_memory() -> sqlite3.Connection:
    """Open a database in memory."""
    return sqlite3.connect(":memory:", isolation_level=None)


def prepared(connection: sqlite3.Connection, path: Path, *pragmas: str) -> sqlite3.Connection:
    """Set up a connection and migrate its store to this version; on an error the connection is closed."""
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL, not NORMAL: with NORMAL a WAL store stays consistent after a power cut, but may lose the last saves.
        # Keywords are saved rarely, so the cost of the additional flush does not matter.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: an ordinary flush there stops at the drive's cache
        connection.execute("PRAGMA secure_delete = ON")  # overwrite the audio of removed takes
        migrate(connection, path, pragmas)
    except BaseException:
        connection.close()
        raise
    return connection


def snapshot(path: Path) -> sqlite3.Connection:
    """A copy of a store in memory, migrated to this version; the file is not changed."""
    memory = connect_memory()
    try:
        try:
            with closing(connect(path, "ro")) as file:
                file.backup(memory)
        except sqlite3.Error as error:
            # A WAL store in a folder without write permission. `immutable` would ignore the content of a WAL file.
            if code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or _wal(path).exists():
                raise
            with closing(connect(path, "ro&immutable=1")) as file:
                file.backup(memory)
    except BaseException:
        memory.close()
        raise
    return prepared(memory, path)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def code(error: sqlite3.Error) -> int:
    """The primary result code of SQLite; 0 for an error of Python's module `sqlite3`, which has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explained(path: Path, error: sqlite3.Error, *, patience_s: float = 0.0) -> EarmarkError:
    """Return the error to raise in place of an error of SQLite, with a message that names the cure.

    Args:
        path: file of the store.
        error: what SQLite raised.
        patience_s: time that the caller waited for other programs, for the message.
    """
    match code(error):
        case sqlite3.SQLITE_NOTADB:
            return InputError(f"{path}: not a keyword store; name another file")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return InputError(f"{path}: cannot be opened or written; change its permissions or name another store")
        case sqlite3.SQLITE_CORRUPT:
            return EarmarkError(f"{path}: the store is damaged; restore a copy, or delete it and enroll again")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EarmarkError(f"{path}: in use by another program for {patience_s:.0f} s; try again later")
        case sqlite3.SQLITE_FULL:
            return EarmarkError(f"{path}: the disk is full; free some space and try again")
        case _:
            return EarmarkError(f"{path}: {error}; try again, or restore a copy of the store")
