"""A keyword with its takes, and the store that keeps keywords.

The store is one SQLite file. Each operation opens it, does its work in one transaction and closes it, so that nothing
is held between operations: threads and processes may share a store, and a copy of the file is a whole copy.
"""

import difflib
import json
import os
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import platformdirs
from numpy.typing import NDArray

from earmark.audio import Wave, pack, unpack
from earmark.errors import EarmarkError, InputError

NAME_LENGTH = 64
"""Characters that a keyword's name may have."""

SUFFIX = ".earmark"
"""How the file of a store, and of exported keywords, is named."""

_Result = TypeVar("_Result")

_APPLICATION = int.from_bytes(b"earm")
_PATIENCE_S = 20.0
_BUSY_TIMEOUT_S = 5.0
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories of control, format and broken characters
_JOINERS = "\u200c\u200d"  # invisible, but part of how words are written in Persian, Hindi and others

# Rung n brings a store of version n to version n + 1. A rung that was released never changes.
_LADDER: tuple[tuple[str, ...], ...] = (
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
)


class KeywordNotFound(InputError):
    """The store holds no keyword of that name."""


@dataclass(frozen=True, eq=False)
class Take:
    """One recording of the word.

    Attributes:
        wave: shape (n,), the whole recording, silence around the word included.
        start_s: where the word begins, in seconds.
        end_s: where it ends, in seconds.
        source: where the recording came from, a file's name for example.
        remarks: what enrolment noticed about it.
    """

    wave: Wave
    start_s: float
    end_s: float
    source: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Keyword:
    """A word to look for, as an encoder hears it.

    Attributes:
        name: as `clean_name` returns it; it is cleaned here.
        takes: the recordings, kept so that another encoder can embed them.
        embeddings: shape (k, d), float32, rows of unit length.
        duration_s: how long the word lasts, in seconds.
        threshold: the score from which on it counts as heard.
        encoder: fingerprint of the encoder that made the embeddings.
        created: when, ISO 8601 in UTC.
    """

    name: str
    takes: tuple[Take, ...]
    embeddings: NDArray[np.float32]
    duration_s: float
    threshold: float
    encoder: str
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_name(self.name))
        if self.embeddings.ndim != 2 or not self.embeddings.size or not np.isfinite(self.embeddings).all():
            shape = self.embeddings.shape
            raise InputError(f"keyword '{self.name}': embeddings must be finite, shape (k, d), not {shape}")

    @property
    def prototype(self) -> NDArray[np.float32]:
        """The mean of the embeddings, made unit length; shape (d,)."""
        mean = self.embeddings.mean(axis=0, dtype=np.float64)
        return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)


def clean_name(name: str) -> str:
    """A keyword's name, trimmed and in Unicode's composed form (NFC).

    Raises:
        InputError: it is empty, longer than `NAME_LENGTH`, or holds control or invisible characters.

    >>> clean_name("  Grüß Gott ")
    'Grüß Gott'
    """
    cleaned = unicodedata.normalize("NFC", name.strip())
    if not cleaned:
        raise InputError("a keyword's name is empty; give it at least one character")
    if len(cleaned) > NAME_LENGTH:
        raise InputError(f"keyword '{cleaned[:20]}…': {len(cleaned)} characters; a name has at most {NAME_LENGTH}")
    for character in cleaned:
        if unicodedata.category(character) in _UNSEEN and character not in _JOINERS:
            raise InputError(f"keyword {cleaned!a}: remove the control character {character!a} from the name")
    if not cleaned.strip(_JOINERS):
        raise InputError(f"keyword {cleaned!a}: nothing in the name can be seen; give it a letter")
    return cleaned


class KeywordStore:
    """Keywords in a file.

    What `save`, `remove` and `import_from` did is on the disk when they return, and each happens wholly or not at all.
    Names are compared without regard to case. Operations raise `InputError` when the file is not a store, is one of a
    newer earmark, or may not be written, and `EarmarkError` when it is damaged or stays in use by another program.

    Args:
        path: the file; created, with its folder, by the first write. By default what the environment variable
            EARMARK_STORE names, else `keywords.earmark` in the user's data folder.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        chosen = path or os.environ.get("EARMARK_STORE")
        self.path = Path(chosen).expanduser() if chosen else _default_path()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: no operation leaves the file open."""

    def save(self, keyword: Keyword, *, replace: bool | Keyword = False) -> None:
        """Keep a keyword.

        Args:
            keyword: what to keep; its takes are kept with 16 bits.
            replace: whether a keyword of the same name gives way; or the keyword, as `get` gave it, that alone does.

        Raises:
            InputError: the name is taken and `replace` is false.
            EarmarkError: what is kept is no longer the keyword that `replace` is.
        """
        self._write([keyword], replace)

    def get(self, name: str) -> Keyword:
        """The keyword of this name.

        Raises:
            KeywordNotFound: there is none; the message suggests similar names.
        """
        return self._read([name])[0]

    def names(self) -> list[str]:
        """The names of all keywords, in alphabetical order."""
        return self._run(_names)

    def all(self) -> list[Keyword]:
        """All keywords, in the order of `names`."""
        return self._read(None)

    def remove(self, name: str) -> None:
        """Forget a keyword and its takes.

        Raises:
            KeywordNotFound: there is none of this name.
        """

        def work(connection: sqlite3.Connection) -> None:
            if not connection.execute("DELETE FROM keyword WHERE folded = ?", (_fold(name),)).rowcount:
                raise self._not_found(connection, name)

        # Looking first, so that removing from a store that does not exist creates none.
        self._run(work, writing=self.path.exists())

    def export_to(self, path: str | Path, names: Iterable[str] | None = None) -> None:
        """Write keywords to one portable file, which `import_from` reads, and which is a store itself.

        Args:
            path: a new file, named `….earmark`.
            names: which keywords; all by default.

        Raises:
            InputError: the file exists, is not so named or cannot be written, or there is nothing to export.
            KeywordNotFound: there is no keyword of one of the names.
        """
        target = Path(path).expanduser()
        if target.suffix != SUFFIX:
            raise InputError(f"{path}: exported keywords are kept in a {SUFFIX} file; name it {target.stem}{SUFFIX}")
        if target.exists():
            raise InputError(f"{path}: exists already; name another file")
        if not os.access(target.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise InputError(f"{path}: cannot be written; does its folder exist, and may it be written?")
        keywords = self._read(names)
        if not keywords:
            raise InputError(f"{self.path}: no keyword to export; make one with: earmark enroll")
        draft = KeywordStore(target.with_name(f".{target.name}.{os.getpid()}"))
        try:
            draft._write(keywords, replace=False)
            # Without WAL the file can be read where nothing may be written, a read-only share for example.
            with closing(_connect(draft.path, "rw")) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
            draft.path.replace(target)
        finally:
            draft.path.unlink(missing_ok=True)

    def import_from(self, path: str | Path, replace: bool = False) -> list[str]:
        """Take over all keywords of an exported file or of another store.

        Args:
            path: the file; it is not changed.
            replace: whether keywords of the same names give way.

        Returns:
            The names taken over.

        Raises:
            InputError: the file is missing or not a store, or a name is taken and `replace` is false; then nothing
                is taken over.
        """
        source = Path(path).expanduser()
        if not source.is_file():
            raise InputError(f"{path}: no such file")
        try:
            with closing(_snapshot(source)) as connection:
                keywords = [_load(connection, folded, source) for folded in _folded_names(connection)]
        except sqlite3.Error as error:
            raise _explained(source, error) from error
        if keywords:
            self._write(keywords, replace)
        return [keyword.name for keyword in keywords]

    def _read(self, names: Iterable[str] | None) -> list[Keyword]:
        wanted = None if names is None else [(_fold(name), name) for name in names]

        def work(connection: sqlite3.Connection) -> list[Keyword]:
            present = _folded_names(connection)
            for folded, name in wanted or ():
                if folded not in present:
                    raise self._not_found(connection, name)
            chosen = present if wanted is None else dict.fromkeys(folded for folded, _ in wanted)
            return [_load(connection, folded, self.path) for folded in chosen]

        return self._run(work)

    def _write(self, keywords: list[Keyword], replace: bool | Keyword) -> None:
        # Packed before the transaction: other processes wait while one lasts.
        rows = [(_fold(keyword.name), keyword, _take_rows(keyword)) for keyword in keywords]

        def work(connection: sqlite3.Connection) -> None:
            for folded, keyword, takes in rows:
                if isinstance(replace, Keyword) and not _is_kept(connection, folded, replace):
                    message = f"{self.path}: another program changed keyword '{keyword.name}' meanwhile; do it again"
                    raise EarmarkError(message)
                if replace:
                    connection.execute("DELETE FROM keyword WHERE folded = ?", (folded,))
                elif connection.execute("SELECT 1 FROM keyword WHERE folded = ?", (folded,)).fetchone():
                    message = f"{self.path}: keyword '{keyword.name}' exists already; replace it or choose another name"
                    raise InputError(message)
                _insert(connection, folded, keyword, takes)

        self._run(work, writing=True)

    def _run(self, work: Callable[[sqlite3.Connection], _Result], writing: bool = False) -> _Result:
        """Do some work in one transaction, waiting for other processes."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                with closing(self._open(writing)) as connection:
                    connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                    result = work(connection)
                    connection.execute("COMMIT")
                    return result
            except sqlite3.Error as error:
                # SQLite's own waiting does not cover a store that another process creates, recovers or closes just now.
                if _code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                    raise _explained(self.path, error) from error
                time.sleep(0.01)

    def _open(self, writing: bool) -> sqlite3.Connection:
        if self.path.is_dir():
            raise InputError(f"{self.path}: a folder, not a keyword store; name a file in it")
        if writing:
            try:
                # 0700: these are recordings of people's voices.
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{self.path}: its folder cannot be created ({error.strerror})") from error
            return _prepared(_connect(self.path, "rwc"), self.path, "PRAGMA journal_mode = WAL")
        if not self.path.exists():
            return _prepared(_connect_memory(), self.path)
        try:
            return _prepared(_connect(self.path, "rw"), self.path)
        except sqlite3.Error as error:
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            return _snapshot(self.path)  # nothing may be written there, not even SQLite's own side files

    def _not_found(self, connection: sqlite3.Connection, name: str) -> KeywordNotFound:
        names = {_fold(known): known for known in _names(connection)}
        similar = difflib.get_close_matches(_fold(name), names, n=1)
        if similar:
            cure = f"did you mean '{names[similar[0]]}'?"
        elif names:
            cure = f"it holds {', '.join(list(names.values())[:8])}{', …' if len(names) > 8 else ''}"
        else:
            cure = "it is empty; make a keyword with: earmark enroll"
        return KeywordNotFound(f"{self.path}: no keyword '{name}'; {cure}")


def _default_path() -> Path:
    return platformdirs.user_data_path("earmark", appauthor=False) / f"keywords{SUFFIX}"


def _fold(name: str) -> str:
    """The name as it is compared: whoever types it may type another case or another normal form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


def _connect_memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def _prepared(connection: sqlite3.Connection, path: Path, *pragmas: str) -> sqlite3.Connection:
    """The connection with its settings, on a store of this version; closed when that fails."""
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL, not NORMAL: with NORMAL a WAL store survives a power cut whole, but may have forgotten its last saves.
        # Words are enrolled rarely, so the additional flush costs nothing that is felt.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: an ordinary flush there stops at the drive's cache
        connection.execute("PRAGMA secure_delete = ON")  # the voice in a removed take is overwritten
        _climb(connection, path, pragmas)
    except BaseException:
        connection.close()
        raise
    return connection


def _climb(connection: sqlite3.Connection, path: Path, pragmas: Iterable[str]) -> None:
    """Bring a store to this version, and an empty file to a store."""
    connection.execute("BEGIN")  # one look at all: another process may just be making this file a store
    version = _version(connection, path)
    connection.execute("COMMIT")
    for pragma in pragmas:
        connection.execute(pragma)
    if version == len(_LADDER):
        return
    connection.execute("BEGIN IMMEDIATE")
    for number in range(_version(connection, path), len(_LADDER)):  # again: another process may just have climbed
        for statement in _LADDER[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(_LADDER)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (version or application or tables):
        raise InputError(f"{path}: a database, but not a keyword store; name another file")
    if version > len(_LADDER):
        known = len(_LADDER)
        message = f"{path}: made by a newer earmark (store version {version}, this one knows {known}); upgrade earmark"
        raise InputError(message)
    return version


def _snapshot(path: Path) -> sqlite3.Connection:
    """A store's content in memory, brought to this version; the file is left as it is."""
    memory = _connect_memory()
    try:
        try:
            with closing(_connect(path, "ro")) as file:
                file.backup(memory)
        except sqlite3.Error as error:
            # A WAL store where no side file can be made. `immutable` would overlook what stands in a WAL file.
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or _wal(path).exists():
                raise
            with closing(_connect(path, "ro&immutable=1")) as file:
                file.backup(memory)
    except BaseException:
        memory.close()
        raise
    return _prepared(memory, path)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM keyword ORDER BY folded")]


def _folded_names(connection: sqlite3.Connection) -> list[str]:
    return [folded for (folded,) in connection.execute("SELECT folded FROM keyword ORDER BY folded")]


def _take_rows(keyword: Keyword) -> list[tuple[bytes, float, float, str, str]]:
    return [
        (
            pack(take.wave),
            float(take.start_s),
            float(take.end_s),
            take.source.encode(errors="replace").decode(),  # a file's name may hold bytes that are no text
            json.dumps(take.remarks, ensure_ascii=False),
        )
        for take in keyword.takes
    ]


def _insert(
    connection: sqlite3.Connection, folded: str, keyword: Keyword, takes: list[tuple[bytes, float, float, str, str]]
) -> None:
    key = connection.execute(
        "INSERT INTO keyword (name, folded, created, duration_s, threshold, encoder, dimension, embeddings)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            keyword.name,
            folded,
            keyword.created,
            float(keyword.duration_s),
            float(keyword.threshold),
            keyword.encoder,
            keyword.embeddings.shape[1],
            keyword.embeddings.astype("<f4").tobytes(),
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO take (keyword, sound, start_s, end_s, source, remarks) VALUES (?, ?, ?, ?, ?, ?)",
        [(key, *take) for take in takes],
    )


def _is_kept(connection: sqlite3.Connection, folded: str, keyword: Keyword) -> bool:
    """Whether nobody wrote this keyword since it was read."""
    kept = connection.execute(
        "SELECT created, encoder, (SELECT count(*) FROM take WHERE take.keyword = keyword.id)"
        " FROM keyword WHERE folded = ?",
        (folded,),
    ).fetchone()
    return bool(kept == (keyword.created, keyword.encoder, len(keyword.takes)))


def _load(connection: sqlite3.Connection, folded: str, path: Path) -> Keyword:
    key, name, created, duration_s, threshold, encoder, dimension, embeddings = connection.execute(
        "SELECT id, name, created, duration_s, threshold, encoder, dimension, embeddings FROM keyword WHERE folded = ?",
        (folded,),
    ).fetchone()
    takes = connection.execute(
        "SELECT sound, start_s, end_s, source, remarks FROM take WHERE keyword = ? ORDER BY id", (key,)
    )
    try:
        return Keyword(
            name=name,
            takes=tuple(
                Take(unpack(sound), start_s, end_s, source, tuple(json.loads(remarks)))
                for sound, start_s, end_s, source, remarks in takes
            ),
            embeddings=np.frombuffer(embeddings, "<f4").reshape(-1, dimension).astype(np.float32),
            duration_s=duration_s,
            threshold=threshold,
            encoder=encoder,
            created=created,
        )
    except (ValueError, TypeError) as error:
        message = f"{path}: keyword '{name}' is damaged ({error}); remove it and enrol it again"
        raise EarmarkError(message) from error


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 when the module itself raised the error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _explained(path: Path, error: sqlite3.Error) -> EarmarkError:
    match _code(error):
        case sqlite3.SQLITE_NOTADB:
            return InputError(f"{path}: not a keyword store; name another file")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return InputError(f"{path}: cannot be opened or written; change its permissions or name another store")
        case sqlite3.SQLITE_CORRUPT:
            return EarmarkError(f"{path}: the store is damaged; put a copy of it in its place, or enrol anew")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EarmarkError(f"{path}: in use by another program for {_PATIENCE_S:.0f} s; try again later")
        case sqlite3.SQLITE_FULL:
            return EarmarkError(f"{path}: the disk is full; make room and try again")
        case _:
            return EarmarkError(f"{path}: {error}; try again, or put a copy of the store in its place")
