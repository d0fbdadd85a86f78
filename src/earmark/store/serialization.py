"""Keywords and speakers as rows of the tables of a store."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import pack, unpack
from earmark.core.errors import EarmarkError, InputError
from earmark.core.names import fold
from earmark.spotting.keyword import Keyword
from earmark.spotting.parts import SPANS
from earmark.spotting.speaker import Speaker
from earmark.spotting.takes import Take

TakeRow = tuple[bytes, float, float, str, str]

_TAKE_COLUMNS = "sound, start_s, end_s, source, remarks"


def take_rows(takes: Iterable[Take]) -> list[TakeRow]:
    """Takes as rows. Packing the audio is slow: do it before a transaction."""
    return [
        (
            pack(take.wave),
            float(take.start_s),
            float(take.end_s),
            take.source.encode(errors="replace").decode(),  # a file name may contain bytes that are not text
            json.dumps(take.remarks, ensure_ascii=False),
        )
        for take in takes
    ]


def names_in(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Names in a table by their folded form, in alphabetical order."""
    return dict(connection.execute(f"SELECT folded, name FROM {table} ORDER BY folded"))


def insert_keyword(connection: sqlite3.Connection, path: Path, keyword: Keyword, takes: Sequence[TakeRow]) -> None:
    """Insert a keyword whose name is not in the table.

    Raises:
        InputError: the keyword is restricted to a speaker who is not in the store.
    """
    speaker = None
    if keyword.only_speaker is not None:
        known = connection.execute("SELECT id FROM speaker WHERE folded = ?", (fold(keyword.only_speaker),)).fetchone()
        if known is None:
            who = keyword.only_speaker
            cure = f"enroll the speaker first: earmark speakers enroll {who} FILE..."
            raise InputError(f"{path}: no speaker '{who}', to whom keyword '{keyword.name}' is restricted; {cure}")
        (speaker,) = known
    key = connection.execute(
        "INSERT INTO keyword"
        " (name, folded, created, duration_s, threshold, encoder, dimension, embeddings, only_speaker,"
        " false_alarms_per_hour, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            keyword.name,
            fold(keyword.name),
            keyword.created,
            float(keyword.duration_s),
            float(keyword.threshold),
            keyword.encoder,
            keyword.embeddings.shape[1],
            _bytes(keyword.embeddings),
            speaker,
            keyword.rate,
            None if keyword.parts is None else _bytes(keyword.parts),
        ),
    ).lastrowid
    _insert_takes(connection, "take", "keyword", key, takes)


def write_speaker(connection: sqlite3.Connection, speaker: Speaker, takes: Sequence[TakeRow]) -> None:
    """Insert or replace a speaker; keywords that are restricted to the name stay restricted to it."""
    connection.execute(
        "INSERT INTO speaker (name, folded, created, threshold, encoder, dimension, embeddings, false_accepts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (folded) DO UPDATE SET name = excluded.name, created = excluded.created,"
        " threshold = excluded.threshold, encoder = excluded.encoder, dimension = excluded.dimension,"
        " embeddings = excluded.embeddings, false_accepts = excluded.false_accepts",
        (
            speaker.name,
            fold(speaker.name),
            speaker.created,
            float(speaker.threshold),
            speaker.encoder,
            speaker.embeddings.shape[1],
            _bytes(speaker.embeddings),
            speaker.rate,
        ),
    )
    (key,) = connection.execute("SELECT id FROM speaker WHERE folded = ?", (fold(speaker.name),)).fetchone()
    connection.execute("DELETE FROM speaker_take WHERE speaker = ?", (key,))
    _insert_takes(connection, "speaker_take", "speaker", key, takes)


def is_kept(connection: sqlite3.Connection, known: Keyword | Speaker) -> bool:
    """Whether the store still contains this keyword or speaker, unchanged since it was read."""
    table, takes = ("keyword", "take") if isinstance(known, Keyword) else ("speaker", "speaker_take")
    kept = connection.execute(
        f"SELECT created, encoder, (SELECT count(*) FROM {takes} WHERE {takes}.{table} = {table}.id)"
        f" FROM {table} WHERE folded = ?",
        (fold(known.name),),
    ).fetchone()
    return bool(kept == (known.created, known.encoder, len(known.takes)))


def read_keyword(connection: sqlite3.Connection, folded: str, path: Path) -> Keyword:
    """Read a keyword that the table contains."""
    key, name, created, duration_s, threshold, encoder, dimension, embeddings, speaker, rate, parts = (
        connection.execute(
            "SELECT keyword.id, keyword.name, keyword.created, duration_s, keyword.threshold, keyword.encoder,"
            " keyword.dimension, keyword.embeddings, speaker.name, false_alarms_per_hour, keyword.parts"
            " FROM keyword LEFT JOIN speaker ON speaker.id = keyword.only_speaker WHERE keyword.folded = ?",
            (folded,),
        ).fetchone()
    )
    try:
        return Keyword(
            name=name,
            takes=_takes(connection, "take", "keyword", key),
            embeddings=_matrix(embeddings, dimension),
            duration_s=duration_s,
            parts=None if parts is None else _matrix(parts, dimension).reshape(-1, len(SPANS), dimension),
            threshold=threshold,
            encoder=encoder,
            created=created,
            only_speaker=speaker,
            rate=rate,
        )
    except (ValueError, TypeError) as error:
        message = f"{path}: keyword '{name}' is damaged ({error}); remove it and enroll it again"
        raise EarmarkError(message) from error


def read_speaker(connection: sqlite3.Connection, folded: str, path: Path) -> Speaker:
    """Read a speaker that the table contains."""
    key, name, created, threshold, encoder, dimension, embeddings, rate = connection.execute(
        "SELECT id, name, created, threshold, encoder, dimension, embeddings, false_accepts"
        " FROM speaker WHERE folded = ?",
        (folded,),
    ).fetchone()
    try:
        takes = _takes(connection, "speaker_take", "speaker", key)
        return Speaker(
            name=name,
            takes=takes,
            embeddings=_matrix(embeddings, dimension),
            threshold=threshold,
            encoder=encoder,
            created=created,
            rate=rate,
        )
    except (ValueError, TypeError) as error:
        message = f"{path}: speaker '{name}' is damaged ({error}); enroll the speaker again"
        raise EarmarkError(message) from error


def _insert_takes(
    connection: sqlite3.Connection, table: str, of: str, key: int | None, takes: Sequence[TakeRow]
) -> None:
    connection.executemany(
        f"INSERT INTO {table} ({of}, {_TAKE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", [(key, *take) for take in takes]
    )


def _takes(connection: sqlite3.Connection, table: str, of: str, key: int) -> tuple[Take, ...]:
    rows = connection.execute(f"SELECT {_TAKE_COLUMNS} FROM {table} WHERE {of} = ? ORDER BY id", (key,))
    return tuple(
        Take(unpack(sound), start_s, end_s, source, tuple(json.loads(remarks)))
        for sound, start_s, end_s, source, remarks in rows
    )


def _bytes(embeddings: NDArray[np.float32]) -> bytes:
    return embeddings.astype("<f4").tobytes()


def _matrix(packed: bytes, dimension: int) -> NDArray[np.float32]:
    return np.frombuffer(packed, "<f4").reshape(-1, dimension).astype(np.float32)
