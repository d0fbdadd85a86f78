"""The SQLite file of a store: opened as it must be, copied, and its errors said in our words."""

import sqlite3
from contextlib import closing
from pathlib import Path

from earmark.core.errors import EarmarkError, InputError
from earmark.store.migrations import climb

PATIENCE_S = 20.0
"""How long an operation waits for other programs."""

_BUSY_TIMEOUT_S = 5.0


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file; the mode is one of SQLite's: ro, rw, rwc."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


def connect_memory() -> sqlite3.Connection:
    """A database that is gone when it is closed."""
    return sqlite3.connect(":memory:", isolation_level=None)


def prepared(connection: sqlite3.Connection, path: Path, *pragmas: str) -> sqlite3.Connection:
    """The connection with its settings, on a store of this version; closed when that fails."""
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL, not NORMAL: with NORMAL a WAL store survives a power cut whole, but may have forgotten its last saves.
        # Words are enrolled rarely, so the additional flush costs nothing that is felt.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: an ordinary flush there stops at the drive's cache
        connection.execute("PRAGMA secure_delete = ON")  # the voice in a removed take is overwritten
        climb(connection, path, pragmas)
    except BaseException:
        connection.close()
        raise
    return connection


def snapshot(path: Path) -> sqlite3.Connection:
    """A store's content in memory, brought to this version; the file is left as it is."""
    memory = connect_memory()
    try:
        try:
            with closing(connect(path, "ro")) as file:
                file.backup(memory)
        except sqlite3.Error as error:
            # A WAL store where no side file can be made. `immutable` would overlook what stands in a WAL file.
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
    """SQLite's primary result code; 0 when the module itself raised the error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explained(path: Path, error: sqlite3.Error) -> EarmarkError:
    """What an error of SQLite means for whoever reads the message, and the cure."""
    match code(error):
        case sqlite3.SQLITE_NOTADB:
            return InputError(f"{path}: not a keyword store; name another file")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return InputError(f"{path}: cannot be opened or written; change its permissions or name another store")
        case sqlite3.SQLITE_CORRUPT:
            return EarmarkError(f"{path}: the store is damaged; put a copy of it in its place, or enroll anew")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EarmarkError(f"{path}: in use by another program for {PATIENCE_S:.0f} s; try again later")
        case sqlite3.SQLITE_FULL:
            return EarmarkError(f"{path}: the disk is full; make room and try again")
        case _:
            return EarmarkError(f"{path}: {error}; try again, or put a copy of the store in its place")
