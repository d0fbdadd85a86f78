"""`index.json`: encoder, settings and segments of an index.

A segment belongs to the index if `index.json` names it. The file is replaced atomically, so that new segments and
dropped recordings take effect at once.
"""

from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, ValidationError

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.core.files import read_json, write_text
from earmark.models.encoder import Encoder
from earmark.search.settings import IndexSettings

NAME = "index.json"
SEGMENTS = "segments"
FORMAT = 2
CURE = "delete the index and index the recordings again"
"""What to do about a damaged index, for messages."""


class EncoderEntry(Settings):
    """The encoder that made an index, and the shape of its frames and embeddings."""

    name: str
    fingerprint: str
    width: int = Field(gt=0, description="Dimensions of a frame.")
    parts: int = Field(1, gt=0, description="Number of parts of an embedding.")
    hop_s: float = Field(gt=0, description="Time between frames.")

    @classmethod
    def of(cls, encoder: Encoder) -> "EncoderEntry":
        """Make the entry that describes a loaded encoder."""
        return cls(
            name=encoder.name,
            fingerprint=encoder.fingerprint,
            width=encoder.dimension,
            parts=encoder.parts,
            hop_s=encoder.hop_s,
        )

    def __str__(self) -> str:
        return f"{self.name!r} ({self.fingerprint[:12]})"


class SegmentEntry(Settings):
    """A segment of an index, as `index.json` lists it."""

    name: str = Field(pattern=r"^[0-9a-z-]+$")
    files: int = Field(ge=0)
    frames: int = Field(ge=0)
    removed: tuple[int, ...] = Field((), description="Numbers of its files that were dropped from the index.")
    codebook: str | None = Field(None, description="Codebook of its neighbor index; None if it has no such index.")


class Contents(Settings):
    """The contents of an index, as `index.json` stores them."""

    format: int = FORMAT
    encoder: EncoderEntry
    settings: IndexSettings
    segments: tuple[SegmentEntry, ...] = ()
    codebook: str | None = Field(None, description="File of the current FAISS codebook; None while FAISS is not used.")
    codebook_frames: int = Field(0, description="Frames in the index when the codebook was learned.")
    versions: dict[str, str] = Field(default_factory=dict, description="Packages that wrote the index.")


def default_path() -> Path:
    """Return the default folder of an index: `recordings.index` in the user's data folder."""
    return platformdirs.user_data_path("earmark", appauthor=False) / "recordings.index"


def has_contents(path: Path) -> bool:
    """Whether a folder is an index: it contains `index.json`."""
    return (path / NAME).is_file()


def read_contents(path: Path) -> Contents:
    """Read the contents of the index in a folder from its `index.json`.

    Raises:
        InputError: there is no index, it is damaged, or a newer version of earmark made it.
    """
    if not (path / NAME).exists():
        raise InputError(f"{path}: no index; make one with `earmark index`")
    document = read_json(path / NAME, CURE)
    if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > FORMAT:
        raise InputError(f"{path}: made by a newer earmark (format {document['format']}); update earmark")
    try:
        return Contents.model_validate(_with_current_keys(document))
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputError(f"{path / NAME}: damaged ({reason}); {CURE}") from None


def write_contents(path: Path, contents: Contents) -> None:
    """Write the contents of the index in a folder to its `index.json`, in place of the earlier contents."""
    write_text(path / NAME, contents.model_dump_json(indent=1) + "\n")


def check_encoder(path: Path, contents: Contents, encoder: Encoder) -> None:
    """Raise an error for an encoder that did not make the index.

    Raises:
        InputError: the fingerprint of the encoder differs from that in the index.
    """
    if contents.encoder.fingerprint != encoder.fingerprint:
        raise InputError(
            f"{path} was made by {contents.encoder}, not by {EncoderEntry.of(encoder)}; use the encoder that "
            "made the index, or make another index",
            key="encoder",
        )


def damaged(path: Path, reason: str) -> InputError:
    """Make the error for a damaged file of an index."""
    return InputError(f"{path}: damaged ({reason}); {CURE}")


def _with_current_keys(document: Any) -> Any:
    """Rename the keys of an older `index.json` to those of the current format."""
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        return document
    settings = dict(document["settings"])
    if "gate" in settings:  # format 1
        settings["energy_gate"] = settings.pop("gate") == "energy"
    return {**document, "format": FORMAT, "settings": settings}
