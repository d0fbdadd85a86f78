"""A manifest is a table of clips: which stretch of which file, who speaks, what is said, and what the clip is for."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from os.path import relpath
from pathlib import Path
from typing import Any

from earmark.core.errors import InputError, writing

COLUMNS = ("path", "start_s", "end_s", "speaker", "label", "split", "text")
_TIMES = ("start_s", "end_s")
# Accepted and left out: a clip without start_s and end_s is the whole file, however long.
_IGNORED = ("duration_s",)


class ManifestError(InputError):
    """A manifest that cannot be read or written. The message names the file and the column."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One stretch of one audio file.

    Attributes:
        path: absolute, or relative to the manifest's folder.
        start_s: where the clip starts in the file.
        end_s: where it ends; None for the end of the file.
        speaker: who speaks; empty when unknown.
        label: the word, or the kind of noise.
        split: what the clip is for: train, val, test, noise, rir; empty when undecided.
        text: what is said, in words.
    """

    path: str
    start_s: float = 0.0
    end_s: float | None = None
    speaker: str = ""
    label: str = ""
    split: str = ""
    text: str = ""


@dataclass(frozen=True)
class Manifest:
    """Clips, and the folder that their relative paths start from."""

    clips: tuple[Clip, ...]
    folder: Path = Path()

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def locate(self, clip: Clip) -> Path:
        """Where the clip's file lies."""
        return self.folder / clip.path

    def only(self, *splits: str) -> "Manifest":
        """The clips of these splits.

        >>> len(Manifest((Clip("a.wav", split="train"), Clip("b.wav", split="test"))).only("train"))
        1
        """
        return replace(self, clips=tuple(clip for clip in self.clips if clip.split in splits))


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest from a .tsv or .parquet file.

    Only the column `path` has to be there. Absent columns are read as empty.

    Raises:
        ManifestError: no such file, an unknown column, a time that is no time, or no clips at all.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest")
    match path.suffix:
        case ".tsv":
            rows: Iterable[Mapping[str, object]] = _tsv_rows(path)
        case ".parquet":
            rows = _parquet_rows(path)
        case suffix:
            raise ManifestError(f"{path}: a manifest is .tsv or .parquet, not {suffix or 'a file without suffix'}")
    clips = tuple(_clip(row, f"{path}, row {number}") for number, row in enumerate(rows, 1))
    if not clips:
        raise ManifestError(f"{path}: the manifest holds no clips")
    return Manifest(clips, path.parent)


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write a manifest as .tsv or .parquet; its folder is made when absent.

    Relative paths are rewritten so that they still lead to the same files. The file is complete or it is not
    there: it is written under another name first.

    Raises:
        ManifestError: another suffix, or (TSV) a tab or line break inside a value.
        EarmarkError: the manifest cannot be written, or the disk is full.
    """
    path = Path(path)
    clips = _moved(manifest, path.parent)
    partial = path.with_name(f".{path.name}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            match path.suffix:
                case ".tsv":
                    _write_tsv(clips, partial, path)
                case ".parquet":
                    _write_parquet(clips, partial, path)
                case suffix:
                    raise ManifestError(
                        f"{path}: a manifest is .tsv or .parquet, not {suffix or 'a file without suffix'}"
                    )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _tsv_rows(path: Path) -> Iterator[Mapping[str, object]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(lines, None)
            if header is None:
                return
            _check_columns(header, path)
            for number, values in enumerate(lines, 1):
                if not values:
                    continue
                if len(values) != len(header):
                    raise ManifestError(f"{path}, row {number}: {len(values)} values under {len(header)} columns")
                yield dict(zip(header, values, strict=True))
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text") from error


def _parquet_rows(path: Path) -> Iterable[Mapping[str, object]]:
    pyarrow = _pyarrow(path)
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise ManifestError(f"{path}: not a Parquet file") from error
    _check_columns(table.column_names, path)
    rows: Iterable[Mapping[str, object]] = table.to_pylist()
    return rows


def _check_columns(columns: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in COLUMNS + _IGNORED:
            close = get_close_matches(column, COLUMNS, 1)
            cure = f"did you mean {close[0]!r}?" if close else f"the columns are {', '.join(COLUMNS)}"
            raise ManifestError(f"{path}: no such column {column!r}; {cure}")
        if columns.count(column) > 1:
            raise ManifestError(f"{path}: column {column!r} stands there twice")
    if "path" not in columns:
        raise ManifestError(f"{path}: column 'path' is missing")


def _clip(row: Mapping[str, object], where: str) -> Clip:
    start_s = _time(row, "start_s", where) or 0.0
    end_s = _time(row, "end_s", where)
    if end_s is not None and end_s <= start_s:
        raise ManifestError(f"{where}: end_s {end_s:g} is not after start_s {start_s:g}")
    texts = {name: str(row.get(name) or "") for name in COLUMNS if name not in _TIMES}
    if not texts["path"]:
        raise ManifestError(f"{where}: path is empty")
    return Clip(start_s=start_s, end_s=end_s, **texts)


def _time(row: Mapping[str, object], column: str, where: str) -> float | None:
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        time_s = float(str(value))
    except ValueError:
        time_s = math.nan
    if not (math.isfinite(time_s) and time_s >= 0):
        raise ManifestError(f"{where}: {column} is {value!r}; it has to be seconds from 0 on")
    return time_s


def _moved(manifest: Manifest, folder: Path) -> tuple[Clip, ...]:
    """The clips with paths relative to `folder`; what lies outside of it keeps an absolute path."""
    if manifest.folder.resolve() == folder.resolve():
        return manifest.clips
    home = folder.resolve()

    def moved(path: str) -> str:
        if Path(path).is_absolute():
            return path
        absolute = (manifest.folder / path).absolute()
        return relpath(absolute, home) if absolute.is_relative_to(home) else str(absolute)

    return tuple(replace(clip, path=moved(clip.path)) for clip in manifest.clips)


def _write_tsv(clips: Sequence[Clip], partial: Path, path: Path) -> None:
    lines = ["\t".join(COLUMNS)]
    for number, clip in enumerate(clips, 1):
        values = ["" if value is None else str(value) for value in asdict(clip).values()]
        for column, value in zip(COLUMNS, values, strict=True):
            if any(character in value for character in "\t\n\r"):
                raise ManifestError(
                    f"{path}, row {number}: {column} holds a tab or line break; write a .parquet instead"
                )
        lines.append("\t".join(values))
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_parquet(clips: Sequence[Clip], partial: Path, path: Path) -> None:
    pyarrow = _pyarrow(path)
    types = {column: pyarrow.float64() if column in _TIMES else pyarrow.string() for column in COLUMNS}
    columns = {column: pyarrow.array([getattr(clip, column) for clip in clips], types[column]) for column in COLUMNS}
    pyarrow.parquet.write_table(pyarrow.table(columns), partial, compression="zstd")


def _pyarrow(path: Path) -> Any:
    """The package with its Parquet module, or the word where to get it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ManifestError(f"{path}: Parquet needs pyarrow: pip install 'earmark[data]', or use a .tsv") from error
    return pyarrow
