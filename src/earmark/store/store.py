"""The keyword store: keywords and speakers in one SQLite file.

Each operation opens the file, works in one transaction and closes it: threads and processes may share a store, and a
copy of the file is a complete copy.
"""

import difflib
import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace as changed
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
"""Suffix of a store and of exported keywords."""

_Result = TypeVar("_Result")


class KeywordNotFound(InputError):
    """The store contains no keyword of that name."""


class SpeakerNotFound(InputError):
    """The store contains no speaker of that name."""


class NameTaken(InputError):
    """The store contains a keyword or speaker of that name."""


class ExportExists(InputError):
    """The file to export to exists."""


class KeywordStore:
    """Keywords and speakers in a file.

    Each operation is atomic, and on the disk when it returns. Names are compared without regard to case. Operations
    raise `InputError` when the file is not a store, was made by a newer earmark, or cannot be written, and
    `EarmarkError` when it is damaged or in use by another program for too long.

    Args:
        path: the file; created, with its folder, by the first write. By default the environment variable
            EARMARK_STORE, else `keywords.earmark` in the user's data folder.
        patience_s: time to wait for other programs, in seconds.
    """

    def __init__(self, path: str | Path | None = None, *, patience_s: float = 20.0) -> None:
        self._patience_s = patience_s
        chosen = path or os.environ.get("EARMARK_STORE")
        self.path = Path(chosen).expanduser() if chosen else _default_path()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no operation leaves the file open."""

    def save(self, keyword: Keyword, *, replace: bool | Keyword = False) -> None:
        """Save a keyword.

        Args:
            keyword: its takes are saved with 16 bits.
            replace: whether to replace a keyword of the same name; or the keyword to replace, as `get` returned it.

        Raises:
            NameTaken: the name is taken, and `replace` is false.
            InputError: the keyword is restricted to a speaker who is not in the store.
            EarmarkError: another program changed the keyword to replace.
        """
        if not isinstance(keyword, Keyword):
            raise InputError(f"a store saves a Keyword, not {keyword!r}; make one with earmark.enroll", key="keyword")
        self._write([keyword], replace)

    def get(self, name: str) -> Keyword:
        """The keyword of this name.

        Raises:
            KeywordNotFound: there is none; the message suggests a similar name.
        """
        return self._read([name])[0]

    def names(self) -> list[str]:
        """The names of all keywords, in alphabetical order."""
        return self._run(lambda connection: list(names_in(connection, "keyword").values()))

    def all(self) -> list[Keyword]:
        """All keywords, in the order of `names`."""
        return self._read(None)

    def remove(self, *names: str) -> None:
        """Remove keywords and their takes: all of them, or none where a name is unknown.

        Raises:
            KeywordNotFound: a name is unknown.
        """

        def work(connection: sqlite3.Connection) -> None:
            present = names_in(connection, "keyword")
            for name in names:
                if fold(name) not in present:
                    raise self._not_found(connection, "keyword", name)
                connection.execute("DELETE FROM keyword WHERE folded = ?", (fold(name),))

        self._run(work, writing=self.path.exists())  # removing from a missing store does not create it

    def restrict(self, name: str, only_speaker: str | None) -> None:
        """Restrict a keyword to one speaker, or lift the restriction.

        Args:
            name: of the keyword.
            only_speaker: name of the speaker; None for any speaker.

        Raises:
            KeywordNotFound: there is no keyword of this name.
            SpeakerNotFound: there is no such speaker.
        """

        def work(connection: sqlite3.Connection) -> None:
            if fold(name) not in names_in(connection, "keyword"):
                raise self._not_found(connection, "keyword", name)
            if only_speaker is not None and fold(only_speaker) not in names_in(connection, "speaker"):
                raise self._not_found(connection, "speaker", only_speaker)
            connection.execute(
                "UPDATE keyword SET only_speaker = (SELECT id FROM speaker WHERE folded = ?) WHERE folded = ?",
                (None if only_speaker is None else fold(only_speaker), fold(name)),
            )

        self._run(work, writing=self.path.exists())

    def save_speaker(self, speaker: Speaker, *, replace: bool | Speaker = False) -> None:
        """Save a speaker.

        Args:
            speaker: the takes are saved with 16 bits.
            replace: as in `save`. Keywords that are restricted to the replaced speaker stay restricted to this one.

        Raises:
            NameTaken: the name is taken, and `replace` is false.
            EarmarkError: another program changed the speaker to replace.
        """
        if not isinstance(speaker, Speaker):
            raise InputError(
                f"a store saves a Speaker, not {speaker!r}; make one with earmark.enroll_speaker", key="speaker"
            )
        takes = take_rows(speaker.takes)

        def work(connection: sqlite3.Connection) -> None:
            if isinstance(replace, Speaker) and not is_kept(connection, replace):
                message = f"{self.path}: another program changed speaker '{speaker.name}' meanwhile; try again"
                raise EarmarkError(message)
            if not replace and fold(speaker.name) in names_in(connection, "speaker"):
                raise self._taken("speaker", speaker.name)
            write_speaker(connection, speaker, takes)

        self._run(work, writing=True)

    def get_speaker(self, name: str) -> Speaker:
        """The speaker of this name.

        Raises:
            SpeakerNotFound: there is none; the message suggests a similar name.
        """

        def work(connection: sqlite3.Connection) -> Speaker:
            if fold(name) not in names_in(connection, "speaker"):
                raise self._not_found(connection, "speaker", name)
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
        """Remove speakers and their takes: all of them, or none where a name is unknown.

        Raises:
            SpeakerNotFound: a name is unknown.
            InputError: a keyword is restricted to one of these speakers.
        """

        def work(connection: sqlite3.Connection) -> None:
            present = names_in(connection, "speaker")
            for name in names:
                if fold(name) not in present:
                    raise self._not_found(connection, "speaker", name)
                self._refuse_needed(connection, name)
                connection.execute("DELETE FROM speaker WHERE folded = ?", (fold(name),))

        self._run(work, writing=self.path.exists())

    def export_to(self, path: str | Path, names: Iterable[str] | None = None, *, replace: bool = False) -> None:
        """Write keywords, and the speakers to whom they are restricted, to one portable file.

        `import_from` reads it, and it is a store itself.

        Args:
            path: a new file, named `….earmark`.
            names: of the keywords; all by default.
            replace: whether to replace a file that exists.

        Raises:
            ExportExists: the file exists, and `replace` is false.
            InputError: the file has another suffix or cannot be written, or there is no keyword.
            KeywordNotFound: a name is unknown.
            EarmarkError: the disk is full, or the file cannot be written for another reason.
        """
        target = Path(path).expanduser()
        if target.suffix != SUFFIX:
            cure = f"name it {target.stem}{SUFFIX}"
            if fold(str(path)) in map(fold, self.names()):
                cure = f"to export the keyword of that name, use path '{path}{SUFFIX}' and names ['{path}']"
            raise InputError(f"{path}: exported keywords need the suffix {SUFFIX}; {cure}")
        if target.is_dir():
            raise InputError(f"{path}: a folder; name a file in it")
        if target.exists() and not replace:
            raise ExportExists(f"{path}: the file exists; replace it, or name another file")
        if not os.access(target.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise InputError(f"{path}: cannot be written; check that its folder exists and is writable")
        keywords = self._read(names)
        if not keywords:
            raise InputError(f"{self.path}: no keyword to export; make one with: earmark enroll")
        needed = dict.fromkeys(keyword.only_speaker for keyword in keywords if keyword.only_speaker is not None)
        with atomic_path(target, mode=0o600) as path:
            draft = KeywordStore(path)
            draft._write(keywords, replace=False, speakers=[self.get_speaker(name) for name in needed])
            # Without WAL the file can be read where nothing can be written, such as a read-only share.
            with closing(database.connect(draft.path, "rw")) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")

    def import_from(self, path: str | Path, replace: bool = False, *, name: str | None = None) -> list[str]:
        """Import the keywords and speakers of an exported file or of another store: all of them, or none.

        Args:
            path: the file; it is not changed.
            replace: whether to replace keywords and speakers of the same names.
            name: new name of the imported keyword, where the file contains just one.

        Returns:
            The names of the imported keywords.

        Raises:
            NameTaken: a name is taken and `replace` is false. An identical speaker is no conflict.
            InputError: the file is missing or not a store, or `name` is given for several keywords.
        """
        source = Path(path).expanduser()
        if not source.is_file():
            raise InputError(f"{path}: no such file; check the path")
        try:
            with closing(database.snapshot(source)) as connection:
                keywords = [read_keyword(connection, folded, source) for folded in names_in(connection, "keyword")]
                speakers = [read_speaker(connection, folded, source) for folded in names_in(connection, "speaker")]
        except sqlite3.Error as error:
            raise database.explained(source, error, patience_s=self._patience_s) from error
        if name is not None:
            if len(keywords) != 1:
                count = f"{len(keywords)} keywords: {', '.join(keyword.name for keyword in keywords)}"
                raise InputError(
                    f"a new name is for one keyword, not for {count}; export one of them alone", key="name"
                )
            keywords = [changed(keywords[0], name=name)]
        if keywords or speakers:
            self._write(keywords, replace, speakers)
        return [keyword.name for keyword in keywords]

    def _read(self, names: Iterable[str] | None) -> list[Keyword]:
        wanted = None if names is None else [(fold(name), name) for name in names]

        def work(connection: sqlite3.Connection) -> list[Keyword]:
            present = names_in(connection, "keyword")
            for folded, name in wanted or ():
                if folded not in present:
                    raise self._not_found(connection, "keyword", name)
            chosen = present if wanted is None else dict.fromkeys(folded for folded, _ in wanted)
            return [read_keyword(connection, folded, self.path) for folded in chosen]

        return self._run(work)

    def _write(self, keywords: Sequence[Keyword], replace: bool | Keyword, speakers: Sequence[Speaker] = ()) -> None:
        # Pack the audio before the transaction: other processes wait for its end.
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
                    message = f"{self.path}: another program changed keyword '{keyword.name}' meanwhile; try again"
                    raise EarmarkError(message)
                if replace:
                    connection.execute("DELETE FROM keyword WHERE folded = ?", (fold(keyword.name),))
                elif fold(keyword.name) in names_in(connection, "keyword"):
                    raise self._taken("keyword", keyword.name)
                insert_keyword(connection, self.path, keyword, takes)

        self._run(work, writing=True)

    def _refuse_needed(self, connection: sqlite3.Connection, speaker: str) -> None:
        """Raise InputError where a keyword is restricted to this speaker."""
        answering = [
            keyword
            for (keyword,) in connection.execute(
                "SELECT keyword.name FROM keyword JOIN speaker ON speaker.id = keyword.only_speaker"
                " WHERE speaker.folded = ? ORDER BY keyword.folded",
                (fold(speaker),),
            )
        ]
        if answering:
            plural = len(answering) > 1
            keywords = f"keyword{'s' * plural} {', '.join(map(repr, answering))} {'are' if plural else 'is'}"
            cure = f"earmark keywords restrict {shlex.quote(answering[0])} --any-speaker"
            raise InputError(f"{self.path}: {keywords} restricted to speaker '{speaker}'; lift this first: {cure}")

    def _taken(self, noun: str, name: str) -> NameTaken:
        return NameTaken(f"{self.path}: {noun} '{name}' exists; replace it, or choose another name")

    def _run(self, work: Callable[[sqlite3.Connection], _Result], writing: bool = False) -> _Result:
        """Run work in one transaction, waiting for other processes."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                with closing(self._open(writing)) as connection:
                    connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                    result = work(connection)
                    connection.execute("COMMIT")
                    return result
            except sqlite3.Error as error:
                # SQLite itself does not wait for a process that creates, recovers or closes the store.
                if (
                    database.code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                    or time.monotonic() > deadline
                ):
                    raise database.explained(self.path, error, patience_s=self._patience_s) from error
                time.sleep(0.01)

    def _open(self, writing: bool) -> sqlite3.Connection:
        if self.path.is_dir():
            raise InputError(f"{self.path}: a folder, not a keyword store; name a file in it")
        if writing:
            try:
                # 0700: these are recordings of people's voices.
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"{self.path}: its folder cannot be created ({error.strerror}); name another file"
                ) from error
            # 0600 for the same reason; SQLite gives its side files the same permissions, and reports errors.
            with suppress(OSError):
                self.path.touch(mode=0o600)
            return database.prepared(self._connect("rwc"), self.path, "PRAGMA journal_mode = WAL")
        if not self.path.exists():
            return database.prepared(database.connect_memory(), self.path)
        try:
            return database.prepared(self._connect("rw"), self.path)
        except sqlite3.Error as error:
            if database.code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            return database.snapshot(self.path)  # no permission to write, not even side files

    def _connect(self, mode: str) -> sqlite3.Connection:
        return database.connect(self.path, mode, timeout_s=min(5.0, self._patience_s))

    def _not_found(self, connection: sqlite3.Connection, noun: str, name: str) -> InputError:
        """The error for an unknown name, with a similar name or the command that makes one."""
        names = names_in(connection, noun)
        similar = difflib.get_close_matches(fold(name), names, n=1)
        if similar:
            cure = f"did you mean '{names[similar[0]]}'?"
        elif names:
            cure = f"choose one of {', '.join(list(names.values())[:8])}{', …' if len(names) > 8 else ''}"
        elif noun == "keyword":
            cure = "the store is empty; make a keyword: earmark enroll NAME FILE..."
        else:
            cure = f"enroll the speaker first: earmark speakers enroll {name} FILE..."
        kind = KeywordNotFound if noun == "keyword" else SpeakerNotFound
        return kind(f"{self.path}: no {noun} '{name}'; {cure}")


def _default_path() -> Path:
    return platformdirs.user_data_path("earmark", appauthor=False) / f"keywords{SUFFIX}"
