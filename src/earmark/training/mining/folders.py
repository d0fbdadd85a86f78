"""Folders of intermediate results: what made them stands in them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.search.storage import as_json, read_array, replace_file

STAMP = "stamp.json"
"""What made a folder's files."""


def map_array(path: Path) -> NDArray[Any]:
    """An .npy file, read as its rows are asked for.

    Raises:
        InputError: it is damaged.
    """
    try:
        return read_array(path)
    except (ValueError, EOFError, FileNotFoundError):
        raise InputError(f"{path}: damaged or missing; delete {path.parent} and mine again") from None


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        InputError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, FileNotFoundError):
        raise InputError(f"{path}: damaged or missing; delete {path.parent} and mine again") from None


def write_json(path: Path, content: Any) -> None:
    """A JSON file, in the place of an older one."""
    replace_file(path, as_json(content))


def claim(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Make a folder for what this stamp makes, or go on in it.

    Raises:
        InputError: it holds what something else made; the message says what differs.
    """
    place = folder / STAMP
    if place.exists():
        found = read_json(place)
        for key in stamp:
            if found.get(key) != stamp[key]:
                raise InputError(
                    f"{folder}: holds embeddings of another {key} ({found.get(key)}, now {stamp[key]}); name another"
                    " --out, or delete that folder"
                )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(place, stamp)


def renew(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Make a folder for what this stamp makes, or go on in it; what something else made is deleted."""
    place = folder / STAMP
    if place.exists() and read_json(place) != stamp:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        write_json(place, stamp)
