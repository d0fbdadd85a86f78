"""What an index consists of: `index.json`, the one file that changes.

A segment belongs to the index when `index.json` names it; so a new segment, or that a file no longer counts, becomes
true in the instant in which a new `index.json` takes the place of the old one.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earmark.core.errors import EarmarkError, InputError
from earmark.models.encoder import Encoder
from earmark.search.settings import IndexSettings
from earmark.search.storage import replace_file

NAME = "index.json"
SEGMENTS = "segments"
FORMAT = 1


class EncoderEntry(BaseModel):
    """The encoder that made an index, and what is needed to compare its frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: str
    width: int = Field(gt=0)
    """Numbers a frame."""
    parts: int = Field(default=1, gt=0)
    """Of an embedding."""
    hop_s: float = Field(gt=0)
    """Time between frames."""

    @classmethod
    def of(cls, encoder: Encoder) -> "EncoderEntry":
        """The entry of a loaded encoder."""
        return cls(
            name=encoder.name,
            fingerprint=encoder.fingerprint,
            width=encoder.dimension,
            parts=encoder.parts,
            hop_s=encoder.hop_s,
        )


class SegmentEntry(BaseModel):
    """A segment that belongs to an index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[0-9a-z-]+$")
    files: int = Field(ge=0)
    frames: int = Field(ge=0)
    removed: tuple[int, ...] = ()
    """Numbers of its files that no longer count."""
    codebook: str | None = None
    """What its neighbors index was made with; None where it has none."""


class Contents(BaseModel):
    """Everything that `index.json` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    encoder: EncoderEntry
    settings: IndexSettings
    segments: tuple[SegmentEntry, ...] = ()
    codebook: str | None = None
    """The file by which neighbors indexes are made now; None while all windows are compared."""
    codebook_frames: int = 0
    """How many frames the index held when that file was made."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of the packages that wrote it."""


def read_contents(path: Path) -> Contents:
    """Read what an index consists of.

    Raises:
        InputError: there is no index, or it was made by a newer earmark.
        EarmarkError: it is damaged.
    """
    file = path / NAME
    try:
        document: Any = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no index; make one with: earmark index FOLDER --index {path}") from None
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from None
    if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > FORMAT:
        raise InputError(f"{path}: made by a newer earmark (format {document['format']}); update earmark")
    try:
        return Contents.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(file, ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from None


def write_contents(path: Path, contents: Contents) -> None:
    """Let an index consist of this from now on."""
    replace_file(path / NAME, (contents.model_dump_json(indent=1) + "\n").encode())


def _damaged(file: Path, error: Exception) -> EarmarkError:
    return EarmarkError(f"{file}: damaged ({' '.join(str(error).split())}); delete the index and index anew")
