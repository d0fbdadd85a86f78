"""A manifest is a table of clips: file, start and end, speaker, label, split, text."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from os.path import relpath
from pathlib import Path
from typing import Any, Literal

from earmark.core.errors import InputError, needs
from earmark.core.files import atomic_path, write_text

COLUMNS = ("path", "start_s", "end_s", "speaker", "label", "split", "text")
SUFFIXES = (".tsv", ".parquet")
_TIMES = ("start_s", "end_s")


class ManifestError(InputError):
    """A manifest cannot be read or written; the message names the file and the column."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A part of an audio file.

    Attributes:
        path: absolute, or relative to the manifest's folder.
        start_s: start in the file.
        end_s: end in the file; None for the end of the file.
        speaker: name or number of the speaker; empty when unknown.
        label: spoken word, or kind of noise.
        split: train, val, test, noise or rir (room impulse responses); empty when undecided.
        text: transcript.
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
        """Path of the clip's file."""
        return self.folder / clip.path

    def only(self, *splits: str) -> "Manifest":
        """Return a manifest of only the clips in these splits.

        >>> len(Manifest((Clip("a.wav", split="train"), Clip("b.wav", split="test"))).only("train"))
        1
        """
        return replace(self, clips=tuple(clip for clip in self.clips if clip.split in splits))


def is_manifest(path: Path) -> bool:
    """Whether a path ends in .tsv or .parquet, the suffixes of manifests."""
    return path.suffix in SUFFIXES


def read_manifest(path: str | Path, *, split: str | None = None) -> Manifest:
    """Read a manifest from a .tsv or .parquet file.

    Only the column `path` is required. Missing columns are read as empty. Other columns are ignored, except one that
    looks like a misspelling of a missing column.

    Args:
        path: the manifest.
        split: keep the clips of this split only.

    Raises:
        ManifestError: the file is missing, a column is misspelled, a time is invalid, or there are no clips.
        InputError: the split has no clips.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest; check the path")
    match path.suffix:
        case ".tsv":
            rows: Iterable[Mapping[str, object]] = _tsv_rows(path)
        case ".parquet":
            rows = _parquet_rows(path)
        case _:
            raise _wrong_suffix(path)
    clips = tuple(_clip(row, f"{path}, row {number}") for number, row in enumerate(rows, 1))
    if not clips:
        raise ManifestError(f"{path}: the manifest has no clips; add rows")
    manifest = Manifest(clips, path.parent)
    return manifest if split is None else select_split(manifest, split, path)


def select_split(manifest: Manifest, split: str, source: Path) -> Manifest:
    """Keep the clips of one split.

    Args:
        manifest: all clips.
        split: name of the split.
        source: file or folder of the manifest, for the message.

    Raises:
        InputError: the split has no clips.
    """
    selected = manifest.only(split)
    if not selected.clips:
        found = sorted({clip.split or "(none)" for clip in manifest})
        raise InputError(f"{source}: no clips of split {split!r}; choose one of {', '.join(found)}")
    return selected


def sentences_of(manifest: Manifest, text_from: Literal["text", "label"]) -> Manifest:
    """Return the manifest with transcripts in `text`: if `text_from` is `label`, move them there from `label`."""
    if text_from == "text":
        return manifest
    return replace(manifest, clips=tuple(replace(clip, text=clip.label, label="") for clip in manifest))


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write a manifest atomically as .tsv or .parquet; its folder is created if missing.

    Relative paths are rewritten so that they still lead to the same files.

    Raises:
        ManifestError: the suffix is wrong, or a value for a .tsv file has a tab or line break.
        EarmarkError: the manifest cannot be written, or the disk is full.
    """
    path = Path(path)
    clips = _moved(manifest, path.parent)
    match path.suffix:
        case ".tsv":
            write_text(path, _tsv(clips, path))
        case ".parquet":
            _write_parquet(clips, path)
        case _:
            raise _wrong_suffix(path)


def import_pyarrow(path: Path, *, other: str = "a .tsv") -> Any:
    """Import pyarrow with its Parquet module.

    Args:
        path: the Parquet file, for the message.
        other: a file type that needs no pyarrow, for the message.

    Raises:
        MissingPackage: pyarrow is not installed.
    """
    with needs("data", alternative=f"use {other} file in place of {path}"):
        import pyarrow.parquet
    return pyarrow


def _wrong_suffix(path: Path) -> ManifestError:
    return ManifestError(f"{path}: not a manifest; use a file with the suffix .tsv or .parquet")


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
                    raise ManifestError(
                        f"{path}, row {number}: {len(values)} values for {len(header)} columns; separate values by tabs"
                    )
                yield dict(zip(header, values, strict=True))
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text; save it as UTF-8") from error


def _parquet_rows(path: Path) -> Iterable[Mapping[str, object]]:
    pyarrow = import_pyarrow(path)
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise ManifestError(f"{path}: not a Parquet file; make the manifest again") from error
    _check_columns(table.column_names, path)
    rows: Iterable[Mapping[str, object]] = table.to_pylist()
    return rows


def _check_columns(columns: Sequence[str], path: Path) -> None:
    for column in columns:
        missing = [name for name in COLUMNS if name not in columns]
        if column not in COLUMNS and (close := get_close_matches(column, missing, 1, cutoff=0.75)):
            raise ManifestError(f"{path}: unknown column {column!r}; did you mean {close[0]!r}?")
        if columns.count(column) > 1:
            raise ManifestError(f"{path}: two columns have the name {column!r}; remove one of them")
    if "path" not in columns:
        raise ManifestError(f"{path}: column 'path' is missing; add it")


def _clip(row: Mapping[str, object], where: str) -> Clip:
    start_s = _time(row, "start_s", where) or 0.0
    end_s = _time(row, "end_s", where)
    if end_s is not None and end_s <= start_s:
        raise ManifestError(f"{where}: end_s {end_s:g} is not after start_s {start_s:g}; correct the times")
    texts = {name: str(row.get(name) or "") for name in COLUMNS if name not in _TIMES}
    if not texts["path"]:
        raise ManifestError(f"{where}: path is empty; write the path of the audio file in this column")
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
        raise ManifestError(f"{where}: {column} is {value!r}; expected seconds, 0 or more")
    return time_s


def _moved(manifest: Manifest, folder: Path) -> tuple[Clip, ...]:
    """The clips with paths relative to `folder`; a path to a file outside `folder` becomes absolute."""
    if manifest.folder.resolve() == folder.resolve():
        return manifest.clips
    home = folder.resolve()

    def moved(path: str) -> str:
        if Path(path).is_absolute():
            return path
        absolute = (manifest.folder / path).absolute()
        return relpath(absolute, home) if absolute.is_relative_to(home) else str(absolute)

    return tuple(replace(clip, path=moved(clip.path)) for clip in manifest.clips)


def _tsv(clips: Sequence[Clip], path: Path) -> str:
    lines = ["\t".join(COLUMNS)]
    for number, clip in enumerate(clips, 1):
        values = ["" if value is None else str(value) for value in asdict(clip).values()]
        for column, value in zip(COLUMNS, values, strict=True):
            if any(character in value for character in "\t\n\r"):
                raise ManifestError(
                    f"{path}, row {number}: {column} has a tab or line break, which .tsv cannot hold; write a .parquet"
                    " file"
                )
        lines.append("\t".join(values))
    return "\n".join(lines) + "\n"


def _write_parquet(clips: Sequence[Clip], path: Path) -> None:
    pyarrow = import_pyarrow(path)
    types = {column: pyarrow.float64() if column in _TIMES else pyarrow.string() for column in COLUMNS}
    columns = {column: pyarrow.array([getattr(clip, column) for clip in clips], types[column]) for column in COLUMNS}
    with atomic_path(path) as draft:
        pyarrow.parquet.write_table(pyarrow.table(columns), draft, compression="zstd")
