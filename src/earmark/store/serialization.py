"""Takes and speakers as rows of the tables of a store, and what all rows share."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import pack, unpack
from earmark.core.errors import EarmarkError
from earmark.core.names import fold
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
            text_of(take.source),
            json.dumps(take.remarks, ensure_ascii=False),
        )
        for take in takes
    ]


def text_of(source: str) -> str:
    """The source of a take as valid text: a file name may contain bytes that are not."""
    return source.encode(errors="replace").decode()


def names_in(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Names in a table by their folded form, in alphabetical order; without former states of keywords."""
    current = " WHERE former_of IS NULL" if table == "keyword" else ""
    return dict(connection.execute(f"SELECT folded, name FROM {table}{current} ORDER BY folded"))


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
            as_bytes(speaker.embeddings),
            speaker.rate,
        ),
    )
    (key,) = connection.execute("SELECT id FROM speaker WHERE folded = ?", (fold(speaker.name),)).fetchone()
    connection.execute("DELETE FROM speaker_take WHERE speaker = ?", (key,))
    insert_takes(connection, "speaker_take", "speaker", key, takes)


def is_kept_speaker(connection: sqlite3.Connection, known: Speaker) -> bool:
    """Whether the store still contains this speaker, unchanged since it was read."""
    kept = connection.execute(
        "SELECT created, encoder, (SELECT count(*) FROM speaker_take WHERE speaker_take.speaker = speaker.id)"
        " FROM speaker WHERE folded = ?",
        (fold(known.name),),
    ).fetchone()
    return bool(kept == (known.created, known.encoder, len(known.takes)))


def read_speaker(connection: sqlite3.Connection, folded: str, path: Path) -> Speaker:
    """Read a speaker that the table contains."""
    key, name, created, threshold, encoder, dimension, embeddings, rate = connection.execute(
        "SELECT id, name, created, threshold, encoder, dimension, embeddings, false_accepts"
        " FROM speaker WHERE folded = ?",
        (folded,),
    ).fetchone()
    try:
        takes = read_takes(connection, "speaker_take", "speaker", key)
        return Speaker(
            name=name,
            takes=takes,
            embeddings=as_matrix(embeddings, dimension),
            threshold=threshold,
            encoder=encoder,
            created=created,
            rate=rate,
        )
    except (ValueError, TypeError) as error:
        message = f"{path}: speaker '{name}' is damaged ({error}); enroll the speaker again"
        raise EarmarkError(message) from error


def insert_takes(
    connection: sqlite3.Connection, table: str, of: str, key: int | None, takes: Sequence[TakeRow]
) -> None:
    """Insert the takes of a keyword or speaker.

    Args:
        connection: to the store.
        table: of the takes.
        of: its column with the key of the keyword or speaker.
        key: that key.
        takes: as `take_rows` returns them.
    """
    connection.executemany(
        f"INSERT INTO {table} ({of}, {_TAKE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", [(key, *take) for take in takes]
    )


def read_takes(connection: sqlite3.Connection, table: str, of: str, key: int) -> tuple[Take, ...]:
    """Read the takes of a keyword or speaker; arguments as those of `insert_takes`."""
    rows = connection.execute(f"SELECT {_TAKE_COLUMNS} FROM {table} WHERE {of} = ? ORDER BY id", (key,))
    return tuple(
        Take(unpack(sound), start_s, end_s, source, tuple(json.loads(remarks)))
        for sound, start_s, end_s, source, remarks in rows
    )


def as_bytes(embeddings: NDArray[np.float32]) -> bytes:
    """Embeddings of any shape as little-endian float32."""
    return embeddings.astype("<f4").tobytes()


def as_matrix(packed: bytes, dimension: int) -> NDArray[np.float32]:
    """Embeddings from `as_bytes`, shape (n, dimension)."""
    return np.frombuffer(packed, "<f4").reshape(-1, dimension).astype(np.float32)
