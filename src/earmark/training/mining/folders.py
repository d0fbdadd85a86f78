"""Folders of intermediate results: what made them stands in them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from earmark.core import files
from earmark.core.arrays import read_array
from earmark.core.errors import InputError

STAMP = "stamp.json"
"""What made a folder's files."""


def map_array(path: Path) -> NDArray[Any]:
    """An .npy file, mapped into memory.

    Raises:
        InputError: it is damaged or missing.
    """
    return read_array(path, f"delete {path.parent} and mine again")


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        InputError: it is damaged or missing.
    """
    return files.read_json(path, f"delete {path.parent} and mine again")


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
    files.write_json(place, stamp)


def renew(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Make a folder for what this stamp makes, or go on in it; what something else made is deleted."""
    place = folder / STAMP
    if place.exists() and read_json(place) != stamp:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        files.write_json(place, stamp)
