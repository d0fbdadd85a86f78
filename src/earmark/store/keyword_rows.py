"""Keywords as rows of the tables of a store, with their takes, embeddings and negatives."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import pack, unpack
from earmark.core.errors import EarmarkError, InputError
from earmark.core.names import fold
from earmark.spotting.keyword import Keyword
from earmark.spotting.keyword_calibration import BackgroundTail, KeywordCalibration, Logistic, VerifierCalibration
from earmark.spotting.near_miss import NearMiss
from earmark.spotting.negative import Negative
from earmark.spotting.parts import SPANS
from earmark.spotting.verifier_scores import VerifierEmbeddings
from earmark.store.near_miss_rows import NearMissRow, near_miss_rows
from earmark.store.serialization import TakeRow, as_bytes, as_matrix, insert_takes, read_takes, take_rows, text_of

Floats = NDArray[np.float32]

DETECTOR, VERIFIER = "detector", "verifier"
"""The stages: one scores a stream, the other one candidates."""


@dataclass(frozen=True)
class KeywordRows:
    """A keyword whose audio is packed; packing is slow, so it happens before a transaction."""

    keyword: Keyword
    takes: Sequence[TakeRow]
    synthetic: Sequence[TakeRow]
    negatives: Sequence[tuple[bytes, float, float, str, str]]
    near_misses: Sequence[NearMissRow] = ()

    @classmethod
    def of(cls, keyword: Keyword, near_misses: Sequence[NearMiss] = ()) -> "KeywordRows":
        """Pack the audio of a keyword."""
        negatives = [
            (pack(one.wave), float(one.start_s), float(one.end_s), text_of(one.source), one.created)
            for one in keyword.negatives
        ]
        takes, synthetic = take_rows(keyword.takes), take_rows(keyword.synthetic)
        return cls(keyword, takes, synthetic, negatives, near_miss_rows(near_misses))


def insert_keyword(connection: sqlite3.Connection, path: Path, rows: KeywordRows, change: str = "") -> int:
    """Insert a keyword whose name is not in the table; returns the key of its row.

    Raises:
        InputError: the keyword is restricted to a speaker who is not in the store.
    """
    keyword = rows.keyword
    key = connection.execute(
        "INSERT INTO keyword (name, folded, created, duration_s, threshold, encoder, only_speaker,"
        " false_alarms_per_hour, calibration, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            keyword.name,
            fold(keyword.name),
            keyword.created,
            float(keyword.duration_s),
            float(keyword.threshold),
            keyword.encoder,
            _speaker_key(connection, path, keyword),
            keyword.rate,
            json.dumps(asdict(keyword.calibration)),
            change,
        ),
    ).lastrowid
    assert key is not None
    _insert_embeddings(connection, key, keyword)
    insert_takes(connection, "take", "keyword", key, rows.takes)
    insert_takes(connection, "synthetic_take", "keyword", key, rows.synthetic)
    connection.executemany(
        "INSERT INTO negative (keyword, sound, start_s, end_s, source, created) VALUES (?, ?, ?, ?, ?, ?)",
        [(key, *negative) for negative in rows.negatives],
    )
    return key


def read_keyword(connection: sqlite3.Connection, folded: str, path: Path) -> Keyword:
    """Read a keyword that the table contains."""
    key, name, created, duration_s, threshold, encoder, rate, calibration, speaker = connection.execute(
        "SELECT keyword.id, keyword.name, keyword.created, duration_s, keyword.threshold, keyword.encoder,"
        " false_alarms_per_hour, calibration, speaker.name"
        " FROM keyword LEFT JOIN speaker ON speaker.id = keyword.only_speaker WHERE keyword.folded = ?",
        (folded,),
    ).fetchone()
    try:
        embeddings, parts, negative_parts, synthetic_parts = _read_embeddings(connection, key, encoder)
        return Keyword(
            name=name,
            takes=read_takes(connection, "take", "keyword", key),
            embeddings=embeddings,
            duration_s=duration_s,
            parts=parts,
            threshold=threshold,
            encoder=encoder,
            created=created,
            only_speaker=speaker,
            rate=rate,
            calibration=_calibration(calibration),
            negatives=_read_negatives(connection, key),
            negative_parts=negative_parts,
            synthetic=read_takes(connection, "synthetic_take", "keyword", key),
            synthetic_parts=synthetic_parts,
            verifier=_read_verifier(connection, key),
        )
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path}: keyword '{name}' is damaged ({error}); remove it and enroll it again"
        raise EarmarkError(message) from error


def is_kept_keyword(connection: sqlite3.Connection, known: Keyword) -> bool:
    """Whether the store still contains this keyword, unchanged since it was read."""
    kept = connection.execute(
        "SELECT created, encoder, threshold, false_alarms_per_hour,"
        " (SELECT count(*) FROM take WHERE take.keyword = keyword.id),"
        " (SELECT count(*) FROM synthetic_take WHERE synthetic_take.keyword = keyword.id),"
        " (SELECT count(*) FROM negative WHERE negative.keyword = keyword.id)"
        " FROM keyword WHERE folded = ?",
        (fold(known.name),),
    ).fetchone()
    counts = len(known.takes), len(known.synthetic), len(known.negatives)
    expected = (known.created, known.encoder, known.threshold, known.rate, *counts)
    return bool(kept == expected)


def _speaker_key(connection: sqlite3.Connection, path: Path, keyword: Keyword) -> int | None:
    if keyword.only_speaker is None:
        return None
    known = connection.execute("SELECT id FROM speaker WHERE folded = ?", (fold(keyword.only_speaker),)).fetchone()
    if known is None:
        who = keyword.only_speaker
        cure = f"enroll the speaker first: earmark speakers enroll {who} FILE..."
        raise InputError(f"{path}: no speaker '{who}', to whom keyword '{keyword.name}' is restricted; {cure}")
    (key,) = known
    return int(key)


def _insert_embeddings(connection: sqlite3.Connection, key: int, keyword: Keyword) -> None:
    parts = keyword.embeddings[:, None] if keyword.parts is None else keyword.parts
    none = parts[:0]
    stages = [(DETECTOR, keyword.encoder, parts, keyword.negative_parts, keyword.synthetic_parts)]
    if keyword.verifier is not None:
        stages.append((VERIFIER, keyword.verifier.fingerprint, *keyword.verifier.every))
    connection.executemany(
        "INSERT INTO embedding (keyword, stage, encoder, dimension, parts, takes, negatives, synthetic)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(key, stage, encoder, takes.shape[2], takes.shape[1]),
                *(as_bytes(none if rows is None else rows) for rows in (takes, negatives, synthetic)),
            )
            for stage, encoder, takes, negatives, synthetic in stages
        ],
    )


def _read_embeddings(
    connection: sqlite3.Connection, key: int, encoder: str
) -> tuple[Floats, Floats | None, Floats | None, Floats | None]:
    """Embeddings of the whole words, and of the parts of takes, negatives and synthetic takes; None without them."""
    found = _read_stage(connection, key, DETECTOR, encoder)
    if found is None:
        raise ValueError("its embeddings are missing")
    _, takes, negatives, synthetic = found
    if takes.shape[1] != len(SPANS):
        return takes[:, 0], None, None, None
    return takes[:, 0], takes, negatives if len(negatives) else None, synthetic if len(synthetic) else None


def _read_verifier(connection: sqlite3.Connection, key: int) -> VerifierEmbeddings | None:
    found = _read_stage(connection, key, VERIFIER)
    return None if found is None else VerifierEmbeddings(*found)


def _read_stage(
    connection: sqlite3.Connection, key: int, stage: str, encoder: str | None = None
) -> tuple[str, Floats, Floats, Floats] | None:
    """Fingerprint of an encoder, and its embeddings of takes, negatives and synthetic takes, shape (n, parts, d)."""
    found = connection.execute(
        "SELECT encoder, dimension, parts, takes, negatives, synthetic FROM embedding"
        " WHERE keyword = ? AND stage = ? AND encoder = coalesce(?, encoder)",
        (key, stage, encoder),
    ).fetchone()
    if found is None:
        return None
    fingerprint, dimension, count, *packed = found
    takes, negatives, synthetic = (as_matrix(rows, dimension).reshape(-1, count, dimension) for rows in packed)
    return fingerprint, takes, negatives, synthetic


def _read_negatives(connection: sqlite3.Connection, key: int) -> tuple[Negative, ...]:
    rows = connection.execute(
        "SELECT sound, start_s, end_s, source, created FROM negative WHERE keyword = ? ORDER BY id", (key,)
    )
    return tuple(
        Negative(unpack(sound), start_s, end_s, source, created=created)
        for sound, start_s, end_s, source, created in rows
    )


def _calibration(text: str | None) -> KeywordCalibration:
    if text is None:
        return KeywordCalibration()
    known: dict[str, Any] = json.loads(text)
    verifier = known.pop("verifier", None)
    return KeywordCalibration(
        **_parsed(known), verifier=None if verifier is None else VerifierCalibration(**_parsed(verifier))
    )


def _parsed(known: dict[str, Any]) -> dict[str, Any]:
    """The fields of a calibration, with its tails and its logistic curve as objects."""
    kinds: dict[str, Callable[..., Any]] = {"tail": BackgroundTail, "room": BackgroundTail, "logistic": Logistic}
    return {
        name: kinds[name](**value) if name in kinds and value is not None else value for name, value in known.items()
    }
