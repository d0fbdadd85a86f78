"""Results of a long run, written down as they come, so that a killed run goes on where it stopped."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from earmark.core.errors import writing


class CheckpointLog:
    """A file of JSON lines: the first says what made it, each further one is a key and a record.

    A journal that something else made is begun anew. A last line that was cut off is written again.

    Attributes:
        done: the records of this and of earlier runs, by key.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        self.done: dict[str, dict[str, Any]] = {}
        self._path = path
        head = json.dumps({"made_by": made_by}, ensure_ascii=False)
        # Not by splitlines: a file's name may hold what Unicode calls the end of a line. What follows the last end
        # was cut off.
        lines = _text(path).split("\n")[:-1]
        if not lines or lines[0] != head:
            lines = [head]
        for line in lines[1:]:
            record = json.loads(line)
            self.done[record.pop("key")] = record
        partial = path.with_name(f".{path.name}.partial")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                # Whole lines only: what follows a line that was cut off could not be told from it.
                partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
            self._file = path.open("a", encoding="utf-8", newline="\n")

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Write a record down; it outlives the process from here on.

        Raises:
            EarmarkError: the journal cannot be written, or the disk is full.
        """
        with writing(self._path):
            self._file.write(json.dumps({"key": key, **record}, ensure_ascii=False) + "\n")
            self._file.flush()
        self.done[key] = dict(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with writing(self._path):  # on a full disk, closing tries to write the last line once more
            self._file.close()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
