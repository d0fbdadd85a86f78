"""A stretch of a recording as the published lists write it: `path speaker start end`, parted by spaces.

Such lists name the parts of recordings that are speech, segments with labels, and pairs of similar segments; see
`earmark.data.lists.sections`, `earmark.data.lists.segments` and `earmark.data.lists.segment_pairs`. Paths start from
the folder of the corpus, times are seconds from the start of the file. `-` stands for a speaker whom nobody knows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from earmark.core.audio import duration_s
from earmark.core.errors import InputError, writing
from earmark.data.corpora.folder import SOUND_SUFFIXES

UNKNOWN = "-"
FRAME_S = 0.025
"""The least sound that a frame of features needs: the window of log-mel energies, and of wav2vec 2.0."""
# Lists are written with few decimals, and the ends of files are not always where their headers say.
_ROUNDING_S, _FILE_END_S = 0.0011, 0.05

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when in which recording, and who speaks.

    Attributes:
        path: of the recording, from the folder of the corpus.
        speaker: who speaks; empty when unknown.
        start_s: where it starts in the file.
        end_s: where it ends.
    """

    path: str
    speaker: str
    start_s: float
    end_s: float

    def holds(self, start_s: float, end_s: float) -> bool:
        """Whether another stretch of the same file lies inside, but for rounding."""
        return start_s >= self.start_s - _ROUNDING_S and end_s <= self.end_s + _ROUNDING_S


@dataclass(frozen=True)
class AudioFolder:
    """The recordings that a list's paths lead to.

    Attributes:
        folder: that the paths start from.
    """

    folder: Path
    _known: dict[str, Path] = field(default_factory=dict, repr=False, compare=False)
    _ends_s: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def locate(self, path: str, where: str = "") -> Path:
        """Where a recording lies; its suffix may be missing in the list.

        Args:
            path: as the list writes it.
            where: the place in the list, for messages.

        Raises:
            InputError: it is not there.
        """
        if path not in self._known:
            place = self.folder / path
            named = [place, *(place.with_name(place.name + suffix) for suffix in sorted(SOUND_SUFFIXES))]
            found = next((file for file in named if file.is_file()), None)
            if found is None:
                at = f"{where}: " if where else ""
                raise InputError(f"{at}no file {place}; is {self.folder} the folder that the paths start from?")
            self._known[path] = found
        return self._known[path]

    def end_s(self, path: str, where: str = "") -> float:
        """How long a recording is.

        Raises:
            InputError: it is not there.
            AudioError: it is no sound.
        """
        if path not in self._ends_s:
            self._ends_s[path] = duration_s(self.locate(path, where))
        return self._ends_s[path]

    def check(self, stretch: Span, where: str = "") -> None:
        """Check that a stretch lies inside its recording.

        Raises:
            InputError: the recording is missing, or ends before the stretch.
        """
        end_s = self.end_s(stretch.path, where)
        if stretch.end_s > end_s + _FILE_END_S:
            raise InputError(
                f"{where or stretch.path}: ends at {stretch.end_s:g} s, but {self.locate(stretch.path)} at {end_s:.2f}"
                " s; make the list of these recordings"
            )


@dataclass(frozen=True)
class Line:
    """One line of a list.

    Attributes:
        list_path: of the list.
        number: of the line, from 1.
        columns: what the columns are called.
        values: what stands in them.
    """

    list_path: Path
    number: int
    columns: Sequence[str]
    values: Sequence[str]

    @cached_property
    def where(self) -> str:
        """For messages: `FILE:LINE`."""
        return f"{self.list_path}:{self.number}"

    def number_in(self, column: int) -> float:
        """The number in a column.

        Raises:
            InputError: it is no finite number.
        """
        try:
            value = float(self.values[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{self.where}: {self.columns[column]} is {self.values[column]!r}; it has to be a number")
        return value

    def bounds(self, column: int) -> tuple[float, float]:
        """Start and end in a column and the next one.

        Raises:
            InputError: no times, an end before its start, or less than a frame between them.
        """
        start_s, end_s = self.number_in(column), self.number_in(column + 1)
        first, last = self.columns[column : column + 2]
        if start_s < 0:
            raise InputError(f"{self.where}: {first} is {start_s:g}; times count from the start of the file, from 0 on")
        if end_s <= start_s:
            raise InputError(
                f"{self.where}: {last} {end_s:g} is not after {first} {start_s:g}; the columns are"
                f" {' '.join(self.columns)}, ends and not lengths"
            )
        if end_s - start_s < FRAME_S - 1e-9:
            raise InputError(
                f"{self.where}: {1000 * (end_s - start_s):.0f} ms from {first} to {last}, shorter than a frame of"
                f" {1000 * FRAME_S:.0f} ms; leave the line out"
            )
        return start_s, end_s

    def span(self, column: int = 0) -> Span:
        """The stretch that begins in a column.

        Raises:
            InputError: as `bounds`.
        """
        return Span(self.values[column], known(self.values[column + 1]), *self.bounds(column + 2))


def read_lines(path: Path, columns: Sequence[str], *, optional: int = 0) -> Iterator[Line]:
    """The lines of a list that hold something, one after the other.

    Args:
        path: the list.
        columns: what they are called.
        optional: so many of the last ones may be missing.

    Raises:
        InputError: the list cannot be read, is empty, or a line has another number of columns.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            empty = True
            for number, text in enumerate(file, 1):
                values = text.split()
                if not values:
                    continue
                empty = False
                if not len(columns) - optional <= len(values) <= len(columns):
                    raise InputError(_wrong_columns(f"{path}:{number}", values, columns, optional))
                yield Line(path, number, columns, values)
    except UnicodeDecodeError:
        raise InputError(f"{path}:{number + 1}: not a text file in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if empty:
        raise InputError(f"{path}: the list is empty; write lines '{' '.join(columns)}'")


def write_lines(rows: Iterable[Row], path: Path, text_of: Callable[[Row], str]) -> int:
    """Write a list line by line; returns how many. The file is complete or it is not there.

    Args:
        rows: as many as you like; they are not kept.
        path: of the list; its folder is made when absent.
        text_of: the line of a row, without line break.

    Raises:
        EarmarkError: the list cannot be written, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial")
    count = 0
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                for row in rows:
                    file.write(f"{text_of(row)}\n")
                    count += 1
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return count


def listed(text: str, what: str = "path") -> str:
    """A path or name as a list can hold it.

    Raises:
        InputError: it is empty or holds white space.
    """
    if len(text.split()) != 1 or text != text.strip():
        raise InputError(
            f"{what} {text!r} does not fit in a list whose columns are parted by spaces; rename it without spaces, or"
            " write a manifest (.tsv, .parquet)"
        )
    return text


def time_text(time_s: float) -> str:
    """A time as lists write it, to the microsecond.

    >>> time_text(0.48000000000000004), time_text(12.0)
    ('0.48', '12.0')
    """
    return str(round(time_s, 6))


def span_text(stretch: Span) -> str:
    """A stretch as lists write it.

    >>> span_text(Span("a.wav", "", 0.5, 1.25))
    'a.wav - 0.5 1.25'

    Raises:
        InputError: a path or speaker that a list cannot hold.
    """
    speaker = listed(stretch.speaker, "speaker") if stretch.speaker else UNKNOWN
    return f"{listed(stretch.path)} {speaker} {time_text(stretch.start_s)} {time_text(stretch.end_s)}"


def known(speaker: str) -> str:
    """A speaker as a list writes him; empty when unknown."""
    return "" if speaker == UNKNOWN else speaker


def _wrong_columns(where: str, values: Sequence[str], columns: Sequence[str], optional: int) -> str:
    least = f" ({optional} of them may be missing)" if optional else ""
    cure = (
        "; a path or label with spaces cannot stand here: rename it, or use a manifest (.tsv, .parquet)"
        if len(values) > len(columns)
        else ""
    )
    return f"{where}: {len(values)} columns, expected {len(columns)}{least}: '{' '.join(columns)}'{cure}"
