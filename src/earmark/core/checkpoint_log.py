"""A log of finished work, from which a killed run continues."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from earmark.core.errors import writing
from earmark.core.files import write_text


class CheckpointLog:
    """A file of JSON lines: the first line holds the settings, each further line a key and its record.

    If the file holds other settings, the log starts from scratch. An incomplete last line is dropped.

    Attributes:
        done: records of this run and of earlier ones, by key.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        """Open a log, and read what earlier runs finished.

        Args:
            path: the log; created if missing, with its folder.
            made_by: settings that the records depend on.

        Raises:
            EarmarkError: the log cannot be written, or the disk is full.
        """
        self.done: dict[str, dict[str, Any]] = {}
        self._path = path
        head = json.dumps({"made_by": made_by}, ensure_ascii=False)
        # Not splitlines: a file name may hold other Unicode line separators. Text after the last "\n" is incomplete.
        lines = _text(path).split("\n")[:-1]
        if not lines or lines[0] != head:
            lines = [head]
        for line in lines[1:]:
            record = json.loads(line)
            self.done[record.pop("key")] = record
        write_text(path, "".join(f"{line}\n" for line in lines))
        with writing(path):
            self._file = path.open("a", encoding="utf-8", newline="\n")

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Append the record of finished work under its key; it survives a crash of this process.

        Raises:
            EarmarkError: the log cannot be written, or the disk is full.
        """
        with writing(self._path):
            self._file.write(json.dumps({"key": key, **record}, ensure_ascii=False) + "\n")
            self._file.flush()
        self.done[key] = dict(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with writing(self._path):  # closing writes the rest, and fails on a full disk
            self._file.close()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
