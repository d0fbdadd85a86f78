"""A resumable folder: intermediate results, and a stamp that says what they were made from.

    work = Workspace(folder, {"fingerprint": encoder.fingerprint, "settings": settings.model_dump()})
    work.open()  # creates the folder or continues in it; InputError where the stamp differs
    counts = work.result("counts", lambda: count(corpus))  # computed once, kept in counts.json
    if not (folder / "vectors.npy").exists():
        write_array(folder / "vectors.npy", embed(corpus))  # atomic: a file that exists is complete

Where two commands may use a folder at the same time, hold `folder_lock(folder)`.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.core.errors import InputError, writing
from earmark.core.files import DRAFT, read_json, write_json

STAMP = "stamp.json"
"""Name of the file with a folder's stamp."""


@dataclass(frozen=True)
class Workspace:
    """A folder of intermediate results that depend on a stamp.

    Attributes:
        folder: the folder; `open` creates it.
        stamp: what the results depend on, such as settings, fingerprints and digests: a mapping, or any JSON value.
        notes: keys of the stamp that inform readers and are not compared, such as the path of a model.
        name: name of the stamp's file.
    """

    folder: Path
    stamp: Any
    notes: frozenset[str] = frozenset()
    name: str = STAMP

    def matches(self) -> bool:
        """Whether the folder has this stamp.

        Raises:
            InputError: the stamp is damaged.
        """
        return self._is_stamped() and not self._differences()

    def check(self) -> None:
        """Raise an error if the folder has another stamp; a missing folder, or one without a stamp, is accepted.

        Raises:
            InputError: the stamp differs or is damaged.
        """
        if self._is_stamped() and (different := self._differences()):
            more = f" and {len(different) - 3} more" if len(different) > 3 else ""
            raise InputError(
                f"{self.folder}: its results were made with other settings: {', '.join(different[:3])}{more}; name "
                "another folder, or delete this one"
            )

    def open(self, *, restart: bool = False) -> Path:
        """Create the folder with its stamp, or continue in it.

        Args:
            restart: if the folder has another stamp, delete its contents and start from scratch.

        Returns:
            The folder.

        Raises:
            InputError: the stamp is damaged; it differs and `restart` is false; or `restart` is true and the folder
                holds files but no stamp.
            EarmarkError: the folder cannot be written.
        """
        if restart and not self.matches():
            self._clear()
        self.check()
        if not self._is_stamped():
            write_json(self.folder / self.name, self.stamp, indent=1)
        return self.folder

    def result(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a JSON result of the work. It is made once and kept in `NAME.json`, from which later calls read it.

        Raises:
            InputError: the file is damaged.
        """
        path = self.folder / f"{name}.json"
        if not path.exists():
            write_json(path, make())
        return read_json(path, self._cure)

    @property
    def _cure(self) -> str:
        return f"delete {self.folder} and run the same command again"

    def _is_stamped(self) -> bool:
        return (self.folder / self.name).exists()

    def _differences(self) -> list[str]:
        found, wanted = read_json(self.folder / self.name, self._cure), plain(self.stamp)
        if isinstance(found, dict) and isinstance(wanted, dict):
            found, wanted = ({key: one[key] for key in one if key not in self.notes} for one in (found, wanted))
        return list(differences(found, wanted))

    def _clear(self) -> None:
        """Delete the contents of the folder, except its lock; meanwhile the stamp is null and matches no other."""
        if not self.folder.exists():
            return
        kept = {self.name, ".lock"}
        old = [one for one in self.folder.iterdir() if one.name not in kept and not one.name.startswith(DRAFT)]
        if old and not self._is_stamped():
            raise InputError(
                f"{self.folder}: holds {old[0].name} but no {self.name}, so its files may be other work; name another "
                "folder, or empty this one"
            )
        write_json(self.folder / self.name, None)
        with writing(self.folder):
            for one in old:
                if one.is_dir() and not one.is_symlink():
                    shutil.rmtree(one)
                else:
                    one.unlink()
            (self.folder / self.name).unlink()


def stamped_result(file: Path, stamp: Any, make: Callable[[], Any], *, name: str = "result") -> Any:
    """Return a JSON result from its file, or make it if the file is missing or has another stamp.

    Args:
        file: .json; an object with the keys `stamp` and `name`.
        stamp: what the result depends on.
        make: computes the result, a JSON value.
        name: key of the result in the file.

    Raises:
        InputError: the file is damaged.
    """
    if file.exists():
        found = read_json(file)
        if isinstance(found, dict) and name in found and found.get("stamp") == plain(stamp):
            return found[name]
    result = make()
    write_json(file, {"stamp": stamp, name: result})
    return plain(result)


def plain(value: Any) -> Any:
    """Convert a value to what JSON makes of it: tuples become lists."""
    return json.loads(json.dumps(value))


def differences(found: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """Yield a text for each difference between two JSON values; a missing key counts as null.

    >>> list(differences({"seed": 1, "crop": {"length_s": 1}}, {"seed": 1, "crop": {"length_s": 2}}))
    ['crop.length_s (1, now 2)']
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in {**wanted, **found}:
            yield from differences(found.get(name), wanted.get(name), f"{key}.{name}" if key else name)
    elif found != wanted:
        old, new = (text if len(text := json.dumps(one)) <= 40 else f"{text[:39]}…" for one in (found, wanted))
        yield f"{key or 'stamp'} ({old}, now {new})"
