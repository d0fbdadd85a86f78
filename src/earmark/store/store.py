"""The keyword store: keywords and speakers in one SQLite file.

Each operation opens the file, works in one transaction and closes it: threads and processes may share a store, and a
copy of the file is a complete copy.
"""

import difflib
import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace as changed
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

import platformdirs

from earmark.core.errors import EarmarkError, InputError
from earmark.core.files import atomic_path
from earmark.core.names import fold
from earmark.spotting.keyword import Keyword, without_negatives
from earmark.spotting.near_miss import NearMiss
from earmark.spotting.speaker import Speaker
from earmark.store import database
from earmark.store.history import replace_keyword, undo
from earmark.store.keyword_rows import KeywordRows, insert_keyword, is_kept_keyword, read_keyword
from earmark.store.near_miss_rows import (
    LastDetection,
    near_miss_rows,
    read_last_detection,
    read_near_misses,
    write_last_detection,
    write_near_misses,
)
from earmark.store.serialization import is_kept_speaker, names_in, read_speaker, take_rows, write_speaker

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

    def save(self, keyword: Keyword, *, replace: bool | Keyword = False, change: str = "") -> None:
        """Save a keyword.

        Args:
            keyword: its takes are saved with 16 bits.
            replace: whether to replace a keyword of the same name; or the keyword to replace, as `get` returned it,
                whose name may differ. Its state is kept until the next change, for `undo`.
            change: what changed, such as "drop take 3", which `undo` returns.

        Raises:
            NameTaken: the name is taken, and `replace` is false.
            InputError: the keyword is restricted to a speaker who is not in the store.
            EarmarkError: another program changed the keyword to replace.
        """
        if not isinstance(keyword, Keyword):
            raise InputError(f"a store saves a Keyword, not {keyword!r}; make one with earmark.enroll", key="keyword")
        self._write([keyword], replace, change=change or "enroll")

    def undo(self, name: str) -> tuple[str, str]:
        """Undo the last change of a keyword; a second time, redo it.

        Returns:
            The name of the keyword now, and the change that was undone.

        Raises:
            KeywordNotFound: there is no keyword of this name.
            InputError: nothing was changed since it was enrolled.
            NameTaken: the name before the change belongs to another keyword now.
        """

        def work(connection: sqlite3.Connection) -> tuple[str, str]:
            self._require(connection, "keyword", name)
            try:
                undone = undo(connection, fold(name))
            except sqlite3.IntegrityError as error:
                raise NameTaken(f"{self.path}: the former name of {name!r} is taken; rename that keyword") from error
            if undone is None:
                raise InputError(f"{self.path}: keyword {name!r} has no change to undo")
            return undone

        return self._run(work, writing=self.path.exists())

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
        """Remove keywords with takes, negatives, near misses and former states: all, or none where a name is unknown.

        Raises:
            KeywordNotFound: a name is unknown.
        """

        def work(connection: sqlite3.Connection) -> None:
            self._require(connection, "keyword", *names)
            for name in names:
                connection.execute("DELETE FROM keyword WHERE folded = ?", (fold(name),))

        self._run(work, writing=self.path.exists())  # removing from a missing store does not create it
        self._compact()

    def restrict(self, name: str, only_speaker: str | None) -> None:
        """Restrict a keyword to one speaker, or lift the restriction.

        Args:
            name: of the keyword.
            only_speaker: name of the speaker; None for any speaker.

        Raises:
            KeywordNotFound: there is no keyword of this name.
            SpeakerNotFound: there is no such speaker.
        """
        if only_speaker is not None:
            self.get_speaker(only_speaker)
        known = self.get(name)
        change = "lift the restriction" if only_speaker is None else f"restrict to speaker {only_speaker}"
        self.save(changed(known, only_speaker=only_speaker), replace=known, change=change)

    def near_misses(self, name: str) -> list[NearMiss]:
        """The near misses of a keyword, as `save_near_misses` saved them.

        Raises:
            KeywordNotFound: there is no keyword of this name.
        """

        def work(connection: sqlite3.Connection) -> list[NearMiss]:
            self._require(connection, "keyword", name)
            return read_near_misses(connection, name)

        return self._run(work)

    def save_near_misses(self, name: str, near_misses: Sequence[NearMiss]) -> None:
        """Replace the near misses of a keyword.

        Raises:
            KeywordNotFound: there is no keyword of this name.
        """
        rows = near_miss_rows(near_misses)

        def work(connection: sqlite3.Connection) -> None:
            self._require(connection, "keyword", name)
            write_near_misses(connection, name, rows)

        self._run(work, writing=self.path.exists())

    def last_detection(self, name: str) -> LastDetection | None:
        """Where a keyword was detected last; None where that is unknown.

        Raises:
            KeywordNotFound: there is no keyword of this name.
        """

        def work(connection: sqlite3.Connection) -> LastDetection | None:
            self._require(connection, "keyword", name)
            return read_last_detection(connection, name)

        return self._run(work)

    def save_last_detections(self, found: Mapping[str, LastDetection]) -> None:
        """Remember where keywords were detected last, by their names; unknown names are ignored."""

        def work(connection: sqlite3.Connection) -> None:
            for name, last in found.items():
                write_last_detection(connection, name, last)

        if found:
            self._run(work, writing=self.path.exists())

    def clip_folders(self) -> list[Path]:
        """Folders in which clips of detections were kept, as `save_clip_folder` saved them."""
        return self._run(
            lambda connection: [Path(path) for (path,) in connection.execute("SELECT path FROM clip_folder")]
        )

    def save_clip_folder(self, path: Path) -> None:
        """Remember a folder of clips, so that those of a removed keyword can be deleted."""
        row = (str(path.absolute()),)
        self._run(
            lambda connection: connection.execute("INSERT OR IGNORE INTO clip_folder VALUES (?)", row),
            writing=self.path.exists(),
        )

    def encoder_paths(self) -> dict[str, Path]:
        """Files of the user's own encoders by their fingerprints, as `save_encoder_path` saved them."""

        def work(connection: sqlite3.Connection) -> dict[str, Path]:
            return {key: Path(path) for key, path in connection.execute("SELECT fingerprint, path FROM encoder")}

        return self._run(work)

    def save_encoder_path(self, fingerprint: str, path: Path) -> None:
        """Remember the file of an encoder, so that its keywords can be detected without naming it."""
        row = fingerprint, str(path.absolute())
        self._run(lambda connection: connection.execute("INSERT OR REPLACE INTO encoder VALUES (?, ?)", row), True)

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
            if isinstance(replace, Speaker) and not is_kept_speaker(connection, replace):
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
                # A former state that is restricted to this speaker cannot be restored.
                connection.execute(
                    "DELETE FROM keyword WHERE former_of IS NOT NULL AND only_speaker IN"
                    " (SELECT id FROM speaker WHERE folded = ?)",
                    (fold(name),),
                )
                connection.execute("DELETE FROM speaker WHERE folded = ?", (fold(name),))

        self._run(work, writing=self.path.exists())

    def export_to(
        self,
        path: str | Path,
        names: Iterable[str] | None = None,
        *,
        replace: bool = False,
        with_negatives: bool = False,
        with_near_misses: bool = False,
    ) -> None:
        """Write keywords, and the speakers to whom they are restricted, to one portable file.

        `import_from` reads it, and it is a store itself. Former states of keywords stay here.

        Args:
            path: a new file, named `….earmark`.
            names: of the keywords; all by default.
            replace: whether to replace a file that exists.
            with_negatives: whether to export negatives too, which are recordings of the user's room.
            with_near_misses: whether to export near misses too.

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
        near_misses = {keyword.name: self.near_misses(keyword.name) for keyword in keywords if with_near_misses}
        if not with_negatives:
            keywords = [without_negatives(keyword) for keyword in keywords]
        needed = dict.fromkeys(keyword.only_speaker for keyword in keywords if keyword.only_speaker is not None)
        with atomic_path(target, mode=0o600) as path:
            draft = KeywordStore(path)
            speakers = [self.get_speaker(name) for name in needed]
            draft._write(keywords, replace=False, speakers=speakers, near_misses=near_misses)
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
                near_misses = {keyword.name: read_near_misses(connection, keyword.name) for keyword in keywords}
        except sqlite3.Error as error:
            raise database.explained(source, error, patience_s=self._patience_s) from error
        if name is not None:
            if len(keywords) != 1:
                count = f"{len(keywords)} keywords: {', '.join(keyword.name for keyword in keywords)}"
                raise InputError(
                    f"a new name is for one keyword, not for {count}; export one of them alone", key="name"
                )
            near_misses = {name: near_misses[keywords[0].name]}
            keywords = [changed(keywords[0], name=name)]
        if keywords or speakers:
            self._write(keywords, replace, speakers, near_misses=near_misses, change="import")
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

    def _write(
        self,
        keywords: Sequence[Keyword],
        replace: bool | Keyword,
        speakers: Sequence[Speaker] = (),
        *,
        near_misses: Mapping[str, Sequence[NearMiss]] = MappingProxyType({}),
        change: str = "",
    ) -> None:
        # Pack the audio before the transaction: other processes wait for its end.
        voices = [(speaker, take_rows(speaker.takes)) for speaker in speakers]
        words = [KeywordRows.of(keyword, near_misses.get(keyword.name, ())) for keyword in keywords]

        def work(connection: sqlite3.Connection) -> None:
            for speaker, takes in voices:
                if is_kept_speaker(connection, speaker):
                    continue
                if not replace and fold(speaker.name) in names_in(connection, "speaker"):
                    raise self._taken("speaker", speaker.name)
                write_speaker(connection, speaker, takes)
            for rows in words:
                self._write_keyword(connection, rows, replace, change)

        self._run(work, writing=True)

    def _write_keyword(
        self, connection: sqlite3.Connection, rows: KeywordRows, replace: bool | Keyword, change: str
    ) -> None:
        name = rows.keyword.name
        former = replace.name if isinstance(replace, Keyword) else name
        present = names_in(connection, "keyword")
        if isinstance(replace, Keyword) and not is_kept_keyword(connection, replace):
            raise EarmarkError(f"{self.path}: another program changed keyword '{former}' meanwhile; try again")
        if fold(name) in present and (not replace or fold(name) != fold(former)):
            raise self._taken("keyword", name)
        if fold(former) in present:
            replace_keyword(connection, self.path, rows, fold(former), change)
        else:
            insert_keyword(connection, self.path, rows)
        if rows.near_misses:
            write_near_misses(connection, name, rows.near_misses)

    def _compact(self) -> None:
        """Rewrite the file without removed content; where another program uses it, its removed parts are only zero."""
        if not self.path.exists():
            return
        with suppress(sqlite3.Error), closing(self._open(writing=True)) as connection:
            connection.execute("VACUUM")

    def _refuse_needed(self, connection: sqlite3.Connection, speaker: str) -> None:
        """Raise InputError where a keyword is restricted to this speaker."""
        answering = [
            keyword
            for (keyword,) in connection.execute(
                "SELECT keyword.name FROM keyword JOIN speaker ON speaker.id = keyword.only_speaker"
                " WHERE speaker.folded = ? AND keyword.former_of IS NULL ORDER BY keyword.folded",
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

    def _require(self, connection: sqlite3.Connection, noun: str, *names: str) -> None:
        """Raise an error for the first name that the table does not contain."""
        present = names_in(connection, noun)
        for name in names:
            if fold(name) not in present:
                raise self._not_found(connection, noun, name)

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
