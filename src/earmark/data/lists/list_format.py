"""List formats as tables of columns: one reader and one writer for every published list of clips and segments.

A list is a text file in UTF-8 with one record per line and spaces between columns; empty lines are skipped. The module
of a format defines the record and its columns:

    PAIRS = ListFormat(
        ClipPair,
        (choice("1|0", {"1": True, "0": False}), text("path"), text("path")),
        values=lambda pair: (pair.is_same, pair.first, pair.second),
    )
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from earmark.core.errors import InputError
from earmark.core.files import atomic_file
from earmark.data.manifest import Clip, Manifest, is_manifest, write_manifest

FRAME_S = 0.025
"""Shortest audio that gives a frame of features: the window of log-mel energies, and of wav2vec 2.0."""

Record = TypeVar("Record")


@dataclass(frozen=True)
class Column:
    """One column of a list.

    Attributes:
        name: name of the column in messages.
        read: converts the text of the column to a value; raises `ValueError` with what was expected, such as "a
            number".
        write: converts a value to text.
    """

    name: str
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str


@dataclass(frozen=True)
class ListFormat(Generic[Record]):
    """Columns of a list, and the records of its lines.

    Attributes:
        record: makes a record from the values of the columns.
        columns: columns, in the order of the line.
        values: returns the values of the columns for a record; missing optional columns have no value.
        spans: positions of the columns with a start; the next column has the end, at least one frame later.
        optional: number of last columns that may be missing.
        has_spaces: whether the last column extends to the end of the line and may contain spaces.
    """

    record: Callable[..., Record]
    columns: tuple[Column, ...]
    values: Callable[[Record], Sequence[Any]]
    spans: tuple[int, ...] = ()
    optional: int = 0
    has_spaces: bool = False

    @cached_property
    def _readers(self) -> tuple[Callable[[str], Any], ...]:
        return tuple(column.read for column in self.columns)

    @cached_property
    def _writers(self) -> tuple[Callable[[Any], str], ...]:
        return tuple(column.write for column in self.columns)

    @cached_property
    def layout(self) -> str:
        """Names of the columns, separated by spaces."""
        return " ".join(column.name for column in self.columns)

    def parse(self, line: str) -> Record:
        """Convert one line of a list to a record.

        Raises:
            InputError: the number of columns, a value or a time is wrong; the caller adds file and line.
        """
        texts = self._split(line)
        try:
            values = [read(text) for read, text in zip(self._readers, texts, strict=False)]
        except ValueError:
            raise InputError(self._unreadable(texts)) from None
        for start in self.spans:
            self._check_span(start, values[start], values[start + 1])
        return self.record(*values)

    def format(self, record: Record) -> str:
        """Convert a record to one line of a list, without line break.

        Raises:
            InputError: a value does not fit the format; the caller adds the file.
        """
        try:
            texts = [write(value) for write, value in zip(self._writers, self.values(record), strict=False)]
        except KeyError as error:
            raise InputError(f"{record}: {error} is not allowed in the columns '{self.layout}'; correct it") from None
        line = " ".join(texts)
        # One comparison for the whole line is fast enough for lists of millions of lines.
        if self._parts(line) != texts or "\n" in line or "\r" in line:
            raise InputError(self._unwritable(texts))
        return line

    def _parts(self, line: str) -> list[str]:
        if not self.has_spaces:
            return line.split()
        return [part for part in map(str.strip, line.split(" ", len(self.columns) - 1)) if part]

    def _split(self, line: str) -> list[str]:
        texts = self._parts(line)
        if len(self.columns) - self.optional <= len(texts) <= len(self.columns):
            return texts
        optional = f" (the last {self.optional} may be missing)" if self.optional else ""
        many = len(texts) > len(self.columns)
        cure = "; rename a path or label that has spaces, or use a manifest (.tsv, .parquet)" if many else ""
        raise InputError(f"{len(texts)} columns, expected {len(self.columns)}{optional}: '{self.layout}'{cure}")

    def _unreadable(self, texts: Sequence[str]) -> str:
        for column, text in zip(self.columns, texts, strict=False):
            try:
                column.read(text)
            except ValueError as error:
                return f"{column.name} is {text!r}; expected {error}"
        raise AssertionError(texts)

    def _unwritable(self, texts: Sequence[str]) -> str:
        for column, text in zip(self.columns, texts, strict=False):
            parts = [text.strip()] if self.has_spaces and column is self.columns[-1] else text.split()
            if parts != [text] or not text or len(text.splitlines()) > 1:
                return (
                    f"{column.name} {text!r} is empty or has white space, which the columns '{self.layout}' cannot"
                    " hold; rename it, or write a manifest (.tsv, .parquet)"
                )
        return f"the values {texts} do not fit in the columns '{self.layout}'; rename them"

    def _check_span(self, position: int, start_s: float, end_s: float) -> None:
        first, last = (column.name for column in self.columns[position : position + 2])
        if start_s < 0:
            raise InputError(f"{first} is {start_s:g}, but times count from the start of the file; write 0 or more")
        if end_s <= start_s:
            raise InputError(
                f"{last} {end_s:g} is not after {first} {start_s:g}; the columns are '{self.layout}': write ends, not"
                " lengths"
            )
        if end_s - start_s < FRAME_S - 1e-9:
            raise InputError(
                f"{1000 * (end_s - start_s):.0f} ms from {first} to {last} are shorter than a frame of"
                f" {1000 * FRAME_S:.0f} ms; remove the line"
            )


def text(name: str) -> Column:
    """Make a column of paths or labels."""
    return Column(name)


def optional_text(name: str, missing: str) -> Column:
    """Make a column of paths or labels in which the text `missing` is written for an empty value."""
    return Column(name, lambda value: "" if value == missing else value, lambda value: value or missing)


def number(name: str) -> Column:
    """Make a column of finite numbers, such as seconds or similarities, written with at most six decimals."""
    return Column(name, _finite, number_text)


def count(name: str) -> Column:
    """Make a column of whole numbers, 0 or more."""
    return Column(name, _whole)


def choice(name: str, values: Mapping[str, Any]) -> Column:
    """Make a column of fixed texts; `values` has the value that each text is read as."""
    texts = {value: key for key, value in values.items()}

    def read(written: str) -> Any:
        if written not in values:
            raise ValueError(" or ".join(values))
        return values[written]

    return Column(name, read, lambda value: texts[value])


def number_text(value: float) -> str:
    """Format a number for a list, with at most six decimals (times to the microsecond).

    >>> number_text(0.48000000000000004), number_text(12.0)
    ('0.48', '12.0')
    """
    return str(round(value, 6))


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the stripped text of each line of a file that is not empty.

    Raises:
        InputError: the file cannot be read as text.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line_number, line in enumerate(file, 1):
                if stripped := line.strip():
                    yield line_number, stripped
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; check the path") from None


def read_records(
    path: Path, form: ListFormat[Record], check: Callable[[Record, int], None] | None = None
) -> Iterator[Record]:
    """Read a list, record by record.

    Args:
        path: the list.
        form: format of the list.
        check: called with each record and its line number; raises `InputError` if the record is wrong.

    Raises:
        InputError: the list cannot be read, is empty, or a line is wrong; the message begins with `FILE:LINE`.
    """
    is_empty = True
    for line_number, line in read_lines(path):
        is_empty = False
        try:
            record = form.parse(line)
            if check is not None:
                check(record, line_number)
        except InputError as error:
            raise type(error)(f"{path}:{line_number}: {error}") from None
        yield record
    if is_empty:
        raise InputError(f"{path}: the list is empty; write lines '{form.layout}'")


def write_records(records: Iterable[Record], path: Path, form: ListFormat[Record]) -> int:
    """Write a list atomically, record by record; return the number of records.

    Raises:
        InputError: a value does not fit the format.
        EarmarkError: the list cannot be written, or the disk is full.
    """
    written = 0
    with atomic_file(path) as file:
        for record in records:
            try:
                line = form.format(record)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            file.write(f"{line}\n".encode())
            written += 1
    return written


def write_list(
    records: Iterable[Record], path: Path, form: ListFormat[Record], clip_of: Callable[[Record], Clip], folder: Path
) -> int:
    """Write records as a list, or as a manifest if the suffix is .tsv or .parquet; return the number of records.

    Args:
        records: written one by one to a list; collected in memory for a manifest.
        path: the list or manifest.
        form: format of the list.
        clip_of: converts a record to a clip of the manifest.
        folder: folder that the paths of the records start from, for a manifest.

    Raises:
        InputError: a value does not fit the format.
        EarmarkError: the list cannot be written, or the disk is full.
    """
    if not is_manifest(path):
        return write_records(records, path, form)
    clips = tuple(map(clip_of, records))
    write_manifest(Manifest(clips, folder), path)
    return len(clips)


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a number")
    return value


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a whole number from 0 on")
    return int(text)
