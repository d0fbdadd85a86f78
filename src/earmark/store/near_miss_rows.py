"""Near misses of a keyword, and the place where it was detected last, as rows of the tables of a store."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.core.audio import pack, unpack
from earmark.core.names import fold
from earmark.spotting.near_miss import NearMiss
from earmark.store.serialization import text_of

NearMissRow = tuple[bytes, float, float, float, str, str]

_COLUMNS = "sound, start_s, end_s, score, source, created"
_KEY = "(SELECT id FROM keyword WHERE folded = ?)"


@dataclass(frozen=True)
class LastDetection:
    """Where a keyword was detected last.

    Attributes:
        path: a clip that earmark kept, or the recording.
        start_s: start of the detection in that file, in seconds.
        end_s: its end in seconds.
        created: time of the detection, ISO 8601 in UTC.
    """

    path: str
    start_s: float
    end_s: float
    created: str


def near_miss_rows(near_misses: Sequence[NearMiss]) -> list[NearMissRow]:
    """Near misses as rows. Packing the audio is slow: do it before a transaction."""
    return [
        (pack(one.wave), float(one.start_s), float(one.end_s), float(one.score), text_of(one.source), one.created)
        for one in near_misses
    ]


def write_near_misses(connection: sqlite3.Connection, name: str, rows: Sequence[NearMissRow]) -> None:
    """Replace the near misses of a keyword that the store contains."""
    connection.execute(f"DELETE FROM near_miss WHERE keyword = {_KEY}", (fold(name),))
    connection.executemany(
        f"INSERT INTO near_miss (keyword, {_COLUMNS}) VALUES ({_KEY}, ?, ?, ?, ?, ?, ?)",
        [(fold(name), *row) for row in rows],
    )


def read_near_misses(connection: sqlite3.Connection, name: str) -> list[NearMiss]:
    """The near misses of a keyword, in the order in which they were written."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM near_miss WHERE keyword = {_KEY} ORDER BY id", (fold(name),))
    return [
        NearMiss(unpack(sound), start_s, end_s, source, score=score, created=created)
        for sound, start_s, end_s, score, source, created in rows
    ]


def write_last_detection(connection: sqlite3.Connection, name: str, last: LastDetection) -> None:
    """Remember where a keyword was detected last; does nothing where the store does not contain it."""
    connection.execute(
        "INSERT OR REPLACE INTO last_detection (keyword, path, start_s, end_s, created)"
        " SELECT id, ?, ?, ?, ? FROM keyword WHERE folded = ?",
        (text_of(last.path), last.start_s, last.end_s, last.created, fold(name)),
    )


def read_last_detection(connection: sqlite3.Connection, name: str) -> LastDetection | None:
    """Where a keyword was detected last; None where that is unknown."""
    found = connection.execute(
        f"SELECT path, start_s, end_s, created FROM last_detection WHERE keyword = {_KEY}", (fold(name),)
    ).fetchone()
    return None if found is None else LastDetection(*found)
