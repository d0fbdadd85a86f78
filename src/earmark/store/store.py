"""The store that keeps keywords and speakers.

It is one SQLite file. Each operation opens it, does its work in one transaction and closes it, so that nothing
is held between operations: threads and processes may share a store, and a copy of the file is a whole copy.
"""

import difflib
import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import platformdirs

from earmark.core.errors import EarmarkError, InputError
from earmark.core.files import atomic_path
from earmark.core.names import fold
from earmark.spotting.keyword import Keyword
from earmark.spotting.speaker import Speaker
from earmark.store import database
from earmark.store.serialization import (
    insert_keyword,
    is_kept,
    names_in,
    read_keyword,
    read_speaker,
    take_rows,
    write_speaker,
)

SUFFIX = ".earmark"
"""How the file of a store, and of exported keywords, is named."""

_Result = TypeVar("_Result")


class KeywordNotFound(InputError):
    """The store holds no keyword of that name."""


class SpeakerNotFound(InputError):
    """The store holds no speaker of that name."""


class KeywordStore:
    """Keywords and speakers in a file.

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
            InputError: the name is taken and `replace` is false, or it answers to a speaker who is not in the store.
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
        return self._run(lambda connection: list(names_in(connection, "keyword").values()))

    def all(self) -> list[Keyword]:
        """All keywords, in the order of `names`."""
        return self._read(None)

    def remove(self, *names: str) -> None:
        """Forget keywords and their takes, all of them or, where that cannot be, none.

        Raises:
            KeywordNotFound: there is none of one of the names.
        """

        def work(connection: sqlite3.Connection) -> None:
            present = names_in(connection, "keyword")
            for name in names:
                if fold(name) not in present:
                    raise self._keyword_not_found(connection, name)
                connection.execute("DELETE FROM keyword WHERE folded = ?", (fold(name),))

        # Looking first, so that removing from a store that does not exist creates none.
        self._run(work, writing=self.path.exists())

    def gate(self, name: str, only_speaker: str | None) -> None:
        """Have a keyword answer to one speaker alone, or to anybody.

        Args:
            name: of the keyword.
            only_speaker: name of the speaker; None for anybody.

        Raises:
            KeywordNotFound: there is no keyword of this name.
            SpeakerNotFound: there is no such speaker.
        """

        def work(connection: sqlite3.Connection) -> None:
            if fold(name) not in names_in(connection, "keyword"):
                raise self._keyword_not_found(connection, name)
            if only_speaker is not None and fold(only_speaker) not in names_in(connection, "speaker"):
                raise self._speaker_not_found(connection, only_speaker)
            connection.execute(
                "UPDATE keyword SET only_speaker = (SELECT id FROM speaker WHERE folded = ?) WHERE folded = ?",
                (None if only_speaker is None else fold(only_speaker), fold(name)),
            )

        self._run(work, writing=self.path.exists())

    def save_speaker(self, speaker: Speaker, *, replace: bool | Speaker = False) -> None:
        """Keep a speaker.

        Args:
            speaker: whom to keep; the takes are kept with 16 bits.
            replace: as in `save`. Keywords that answered to the one who gives way answer to this one.

        Raises:
            InputError: the name is taken and `replace` is false.
            EarmarkError: what is kept is no longer the speaker that `replace` is.
        """
        takes = take_rows(speaker.takes)

        def work(connection: sqlite3.Connection) -> None:
            if isinstance(replace, Speaker) and not is_kept(connection, replace):
                message = f"{self.path}: another program changed speaker '{speaker.name}' meanwhile; do it again"
                raise EarmarkError(message)
            if not replace and fold(speaker.name) in names_in(connection, "speaker"):
                raise self._taken("speaker", speaker.name)
            write_speaker(connection, speaker, takes)

        self._run(work, writing=True)

    def get_speaker(self, name: str) -> Speaker:
        """The speaker of this name.

        Raises:
            SpeakerNotFound: there is none; the message suggests similar names.
        """

        def work(connection: sqlite3.Connection) -> Speaker:
            if fold(name) not in names_in(connection, "speaker"):
                raise self._speaker_not_found(connection, name)
            return read_speaker(connection, fold(name), self.path)

        return self._run(work)

    def has_speaker(self, name: str) -> bool:
        """Whether there is a speaker of this name."""
        return self._run(lambda connection: fold(name) in names_in(connection, "speaker"))

    def speakers(self) -> list[Speaker]:
        """All speakers, in alphabetical order."""
        return self._run(
            lambda connection: [read_speaker(connection, name, self.path) for name in names_in(connection, "speaker")]
        )

    def remove_speaker(self, *names: str) -> None:
        """Forget speakers and their takes, all of them or, where that cannot be, none.

        Raises:
            SpeakerNotFound: there is none of one of the names.
            InputError: a keyword answers to one of these speakers alone.
        """

        def work(connection: sqlite3.Connection) -> None:
            present = names_in(connection, "speaker")
            for name in names:
                if fold(name) not in present:
                    raise self._speaker_not_found(connection, name)
                self._refuse_needed(connection, name)
                connection.execute("DELETE FROM speaker WHERE folded = ?", (fold(name),))

        self._run(work, writing=self.path.exists())

    def export_to(self, path: str | Path, names: Iterable[str] | None = None) -> None:
        """Write keywords, and the speakers they answer to, to one portable file.

        `import_from` reads it, and it is a store itself.

        Args:
            path: a new file, named `….earmark`.
            names: which keywords; all by default.

        Raises:
            InputError: the file exists, is not so named or cannot be written, or there is nothing to export.
            KeywordNotFound: there is no keyword of one of the names.
            EarmarkError: the disk is full, or the file cannot be written for another reason.
        """
        target = Path(path).expanduser()
        if target.suffix != SUFFIX:
            cure = f"name it {target.stem}{SUFFIX}"
            if fold(str(path)) in map(fold, self.names()):
                command = f"earmark keywords export {shlex.quote(f'{path}{SUFFIX}')} --keyword {shlex.quote(str(path))}"
                cure = f"for the keyword of that name: {command}"
            raise InputError(f"{path}: exported keywords are kept in a {SUFFIX} file; {cure}")
        if target.exists():
            raise InputError(f"{path}: exists already; name another file")
        if not os.access(target.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise InputError(f"{path}: cannot be written; does its folder exist, and may it be written?")
        keywords = self._read(names)
        if not keywords:
            raise InputError(f"{self.path}: no keyword to export; make one with: earmark enroll")
        needed = dict.fromkeys(keyword.only_speaker for keyword in keywords if keyword.only_speaker is not None)
        with atomic_path(target, mode=0o600) as path:
            draft = KeywordStore(path)
            draft._write(keywords, replace=False, speakers=[self.get_speaker(name) for name in needed])
            # Without WAL the file can be read where nothing may be written, a read-only share for example.
            with closing(database.connect(draft.path, "rw")) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")

    def import_from(self, path: str | Path, replace: bool = False) -> list[str]:
        """Take over all keywords and speakers of an exported file or of another store.

        Args:
            path: the file; it is not changed.
            replace: whether keywords and speakers of the same names give way.

        Returns:
            The names of the keywords taken over.

        Raises:
            InputError: the file is missing or not a store, or a name is taken and `replace` is false; then nothing
                is taken over. A speaker who is here already, the very same, is no hindrance.
        """
        source = Path(path).expanduser()
        if not source.is_file():
            raise InputError(f"{path}: no such file")
        try:
            with closing(database.snapshot(source)) as connection:
                keywords = [read_keyword(connection, folded, source) for folded in names_in(connection, "keyword")]
                speakers = [read_speaker(connection, folded, source) for folded in names_in(connection, "speaker")]
        except sqlite3.Error as error:
            raise database.explained(source, error) from error
        if keywords or speakers:
            self._write(keywords, replace, speakers)
        return [keyword.name for keyword in keywords]

    def _read(self, names: Iterable[str] | None) -> list[Keyword]:
        wanted = None if names is None else [(fold(name), name) for name in names]

        def work(connection: sqlite3.Connection) -> list[Keyword]:
            present = names_in(connection, "keyword")
            for folded, name in wanted or ():
                if folded not in present:
                    raise self._keyword_not_found(connection, name)
            chosen = present if wanted is None else dict.fromkeys(folded for folded, _ in wanted)
            return [read_keyword(connection, folded, self.path) for folded in chosen]

        return self._run(work)

    def _write(self, keywords: Sequence[Keyword], replace: bool | Keyword, speakers: Sequence[Speaker] = ()) -> None:
        # Packed before the transaction: other processes wait while one lasts.
        voices = [(speaker, take_rows(speaker.takes)) for speaker in speakers]
        words = [(keyword, take_rows(keyword.takes)) for keyword in keywords]

        def work(connection: sqlite3.Connection) -> None:
            for speaker, takes in voices:
                if is_kept(connection, speaker):
                    continue
                if not replace and fold(speaker.name) in names_in(connection, "speaker"):
                    raise self._taken("speaker", speaker.name)
                write_speaker(connection, speaker, takes)
            for keyword, takes in words:
                if isinstance(replace, Keyword) and not is_kept(connection, replace):
                    message = f"{self.path}: another program changed keyword '{keyword.name}' meanwhile; do it again"
                    raise EarmarkError(message)
                if replace:
                    connection.execute("DELETE FROM keyword WHERE folded = ?", (fold(keyword.name),))
                elif fold(keyword.name) in names_in(connection, "keyword"):
                    raise self._taken("keyword", keyword.name)
                insert_keyword(connection, self.path, keyword, takes)

        self._run(work, writing=True)

    def _refuse_needed(self, connection: sqlite3.Connection, speaker: str) -> None:
        """Raise InputError where a keyword answers to this speaker alone."""
        answering = [
            keyword
            for (keyword,) in connection.execute(
                "SELECT keyword.name FROM keyword JOIN speaker ON speaker.id = keyword.only_speaker"
                " WHERE speaker.folded = ? ORDER BY keyword.folded",
                (fold(speaker),),
            )
        ]
        if answering:
            keywords = f"keyword{'s' * (len(answering) > 1)} {', '.join(map(repr, answering))}"
            raise InputError(
                f"{self.path}: {keywords} would answer to nobody without speaker '{speaker}'; first: earmark "
                f"keywords gate NAME --anyone, or earmark keywords remove NAME"
            )

    def _taken(self, what: str, name: str) -> InputError:
        return InputError(f"{self.path}: {what} '{name}' exists already; replace it or choose another name")

    def _run(self, work: Callable[[sqlite3.Connection], _Result], writing: bool = False) -> _Result:
        """Do some work in one transaction, waiting for other processes."""
        deadline = time.monotonic() + database.PATIENCE_S
        while True:
            try:
                with closing(self._open(writing)) as connection:
                    connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                    result = work(connection)
                    connection.execute("COMMIT")
                    return result
            except sqlite3.Error as error:
                # SQLite's own waiting does not cover a store that another process creates, recovers or closes just now.
                if (
                    database.code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                    or time.monotonic() > deadline
                ):
                    raise database.explained(self.path, error) from error
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
            # The file alike, in whatever folder; SQLite gives its side files the same rights, and says what hinders it.
            with suppress(OSError):
                self.path.touch(mode=0o600)
            return database.prepared(database.connect(self.path, "rwc"), self.path, "PRAGMA journal_mode = WAL")
        if not self.path.exists():
            return database.prepared(database.connect_memory(), self.path)
        try:
            return database.prepared(database.connect(self.path, "rw"), self.path)
        except sqlite3.Error as error:
            if database.code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            return database.snapshot(self.path)  # nothing may be written there, not even SQLite's own side files

    def _keyword_not_found(self, connection: sqlite3.Connection, name: str) -> KeywordNotFound:
        empty = "it is empty; make a keyword with: earmark enroll"
        cure = _similar(name, names_in(connection, "keyword"), empty)
        return KeywordNotFound(f"{self.path}: no keyword '{name}'; {cure}")

    def _speaker_not_found(self, connection: sqlite3.Connection, name: str) -> SpeakerNotFound:
        empty = f"make one first: earmark speakers enroll {name} FILE..."
        cure = _similar(name, names_in(connection, "speaker"), empty)
        return SpeakerNotFound(f"{self.path}: no speaker '{name}'; {cure}")


def _similar(name: str, names: dict[str, str], empty: str) -> str:
    """What somebody may have meant who typed a name that is not there."""
    similar = difflib.get_close_matches(fold(name), names, n=1)
    if similar:
        return f"did you mean '{names[similar[0]]}'?"
    if names:
        return f"it holds {', '.join(list(names.values())[:8])}{', …' if len(names) > 8 else ''}"
    return empty


def _default_path() -> Path:
    return platformdirs.user_data_path("earmark", appauthor=False) / f"keywords{SUFFIX}"
