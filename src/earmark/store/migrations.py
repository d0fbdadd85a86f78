"""Migrations of the store from each version to the next."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from earmark.core.errors import InputError

_APPLICATION = int.from_bytes(b"earm")

# Migration n brings a store of version n to version n + 1. A released migration never changes.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
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
        # The only speaker who may trigger the keyword; NULL: any speaker.
        "ALTER TABLE keyword ADD COLUMN only_speaker INTEGER REFERENCES speaker",
        "CREATE INDEX keyword_only_speaker ON keyword (only_speaker)",
    ),
    (
        # The rate for which the threshold was chosen; NULL: unknown.
        "ALTER TABLE keyword ADD COLUMN false_alarms_per_hour REAL",
        "ALTER TABLE speaker ADD COLUMN false_accepts REAL",
    ),
    (
        # The embeddings of a keyword by one encoder; `keyword.encoder` names the encoder that detects it.
        """
        CREATE TABLE embedding (
            id INTEGER PRIMARY KEY,
            keyword INTEGER NOT NULL REFERENCES keyword ON DELETE CASCADE,
            stage TEXT NOT NULL,  -- detector or verifier
            encoder TEXT NOT NULL,  -- fingerprint
            dimension INTEGER NOT NULL,
            parts INTEGER NOT NULL,  -- vectors of a take: 1, the whole word; 7, as in `earmark.spotting.parts.SPANS`
            takes BLOB NOT NULL,  -- little-endian float32, `parts` rows of `dimension` for each take
            negatives BLOB NOT NULL,  -- as takes
            UNIQUE (keyword, stage, encoder)
        )
        """,
        """
        INSERT INTO embedding (keyword, stage, encoder, dimension, parts, takes, negatives)
            SELECT id, 'detector', encoder, dimension, 1, embeddings, x'' FROM keyword
        """,
        "ALTER TABLE keyword DROP COLUMN embeddings",
        "ALTER TABLE keyword DROP COLUMN dimension",
        "ALTER TABLE keyword ADD COLUMN calibration TEXT",  # JSON: the fields of KeywordCalibration; NULL: the defaults
        # A keyword before its last change is a row too, with takes and negatives of its own, so that the change can be
        # undone. `former_of` is the keyword as it is now, `change` what was changed last.
        "ALTER TABLE keyword ADD COLUMN former_of INTEGER REFERENCES keyword ON DELETE CASCADE",
        "ALTER TABLE keyword ADD COLUMN change TEXT NOT NULL DEFAULT ''",
        "CREATE UNIQUE INDEX keyword_former_of ON keyword (former_of)",
        # Audio that must not trigger the keyword, as a user marked it.
        """
        CREATE TABLE negative (
            id INTEGER PRIMARY KEY,
            keyword INTEGER NOT NULL REFERENCES keyword ON DELETE CASCADE,
            sound BLOB NOT NULL,  -- FLAC, 16 kHz, 16 bits
            start_s REAL NOT NULL,
            end_s REAL NOT NULL,
            source TEXT NOT NULL,
            created TEXT NOT NULL  -- ISO 8601, UTC
        )
        """,
        "CREATE INDEX negative_keyword ON negative (keyword)",
        # Audio of the user's room whose score comes close to the threshold or exceeds it, for review.
        """
        CREATE TABLE near_miss (
            id INTEGER PRIMARY KEY,
            keyword INTEGER NOT NULL REFERENCES keyword ON DELETE CASCADE,
            sound BLOB NOT NULL,  -- FLAC, 16 kHz, 16 bits
            start_s REAL NOT NULL,
            end_s REAL NOT NULL,
            score REAL NOT NULL,
            source TEXT NOT NULL,
            created TEXT NOT NULL  -- ISO 8601, UTC
        )
        """,
        "CREATE INDEX near_miss_keyword ON near_miss (keyword)",
        # Where a keyword was detected last: in a kept clip or in a recording.
        """
        CREATE TABLE last_detection (
            keyword INTEGER PRIMARY KEY REFERENCES keyword ON DELETE CASCADE,
            path TEXT NOT NULL,
            start_s REAL NOT NULL,
            end_s REAL NOT NULL,
            created TEXT NOT NULL  -- ISO 8601, UTC
        )
        """,
        # Files of the user's own encoders.
        "CREATE TABLE encoder (fingerprint TEXT PRIMARY KEY, path TEXT NOT NULL)",
        # Folders in which clips of detections were kept.
        "CREATE TABLE clip_folder (path TEXT PRIMARY KEY)",
    ),
    (
        # The typed word of a keyword in synthetic voices.
        """
        CREATE TABLE synthetic_take (
            id INTEGER PRIMARY KEY,
            keyword INTEGER NOT NULL REFERENCES keyword ON DELETE CASCADE,
            sound BLOB NOT NULL,  -- FLAC, 16 kHz, 16 bits
            start_s REAL NOT NULL,
            end_s REAL NOT NULL,
            source TEXT NOT NULL,
            remarks TEXT NOT NULL  -- a JSON list of strings
        )
        """,
        "CREATE INDEX synthetic_take_keyword ON synthetic_take (keyword)",
        "ALTER TABLE embedding ADD COLUMN synthetic BLOB NOT NULL DEFAULT x''",  # as takes
    ),
)


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    pragmas: Iterable[str] = (),
    *,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring a store to this version; an empty database becomes a store.

    Args:
        connection: to the database.
        path: its file, for messages.
        pragmas: executed before the migrations.
        migrations: lists of statements, one for each version.

    Raises:
        InputError: the database is not a store, or a newer version.
    """
    connection.execute("BEGIN")  # read once, in a transaction: another process may be creating this store
    version = _version(connection, path, len(migrations))
    connection.execute("COMMIT")
    for pragma in pragmas:
        connection.execute(pragma)
    if version == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Read again: another process may have migrated the store.
    for number in range(_version(connection, path, len(migrations)), len(migrations)):
        for statement in migrations[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (version or application or tables):
        raise InputError(f"{path}: a database, but not a keyword store; name another file")
    if version > known:
        message = f"{path}: made by a newer earmark (store version {version}, this one knows {known}); upgrade earmark"
        raise InputError(message)
    return version
