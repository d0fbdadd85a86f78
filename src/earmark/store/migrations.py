"""The versions of the store, one rung each, and how an older store climbs to this one."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from earmark.core.errors import InputError

_APPLICATION = int.from_bytes(b"earm")

# Rung n brings a store of version n to version n + 1. A rung that was released never changes.
LADDER: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE keyword (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            folded TEXT NOT NULL UNIQUE,  -- the name as it is compared
            created TEXT NOT NULL,  -- ISO 8601, UTC
            duration_s REAL NOT NULL,
            threshold REAL NOT NULL,
            encoder TEXT NOT NULL,  -- fingerprint
            dimension INTEGER NOT NULL,
            embeddings BLOB NOT NULL  -- little-endian float32, one row of `dimension` after the other
        )
        """,
        """
        CREATE TABLE take (
            id INTEGER PRIMARY KEY,
            keyword INTEGER NOT NULL REFERENCES keyword ON DELETE CASCADE,
            sound BLOB NOT NULL,  -- FLAC, 16 kHz, 16 bits
            start_s REAL NOT NULL,
            end_s REAL NOT NULL,
            source TEXT NOT NULL,
            remarks TEXT NOT NULL  -- a JSON list of strings
        )
        """,
        "CREATE INDEX take_keyword ON take (keyword)",
    ),
    (
        """
        CREATE TABLE speaker (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            folded TEXT NOT NULL UNIQUE,  -- the name as it is compared
            created TEXT NOT NULL,  -- ISO 8601, UTC
            threshold REAL NOT NULL,
            encoder TEXT NOT NULL,  -- fingerprint of the speaker encoder
            dimension INTEGER NOT NULL,
            embeddings BLOB NOT NULL  -- as a keyword's
        )
        """,
        """
        CREATE TABLE speaker_take (
            id INTEGER PRIMARY KEY,
            speaker INTEGER NOT NULL REFERENCES speaker ON DELETE CASCADE,
            sound BLOB NOT NULL,  -- FLAC, 16 kHz, 16 bits
            start_s REAL NOT NULL,
            end_s REAL NOT NULL,
            source TEXT NOT NULL,
            remarks TEXT NOT NULL  -- a JSON list of strings
        )
        """,
        "CREATE INDEX speaker_take_speaker ON speaker_take (speaker)",
        # Whose voice alone may fire it; NULL: anybody's.
        "ALTER TABLE keyword ADD COLUMN only_speaker INTEGER REFERENCES speaker",
        "CREATE INDEX keyword_only_speaker ON keyword (only_speaker)",
    ),
    (
        # What the threshold was chosen for; NULL: not known.
        "ALTER TABLE keyword ADD COLUMN false_alarms_per_hour REAL",
        "ALTER TABLE speaker ADD COLUMN false_accepts REAL",
    ),
)


def climb(connection: sqlite3.Connection, path: Path, pragmas: Iterable[str]) -> None:
    """Bring a store to this version, and an empty file to a store."""
    connection.execute("BEGIN")  # one look at all: another process may just be making this file a store
    version = _version(connection, path)
    connection.execute("COMMIT")
    for pragma in pragmas:
        connection.execute(pragma)
    if version == len(LADDER):
        return
    connection.execute("BEGIN IMMEDIATE")
    for number in range(_version(connection, path), len(LADDER)):  # again: another process may just have climbed
        for statement in LADDER[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(LADDER)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (version or application or tables):
        raise InputError(f"{path}: a database, but not a keyword store; name another file")
    if version > len(LADDER):
        known = len(LADDER)
        message = f"{path}: made by a newer earmark (store version {version}, this one knows {known}); upgrade earmark"
        raise InputError(message)
    return version
