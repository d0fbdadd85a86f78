"""What can go wrong, in two kinds: the input was wrong, or the work failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EarmarkError(Exception):
    """The work failed; the command line exits with 1. The message is one line: the file or key, and the cure."""


class InputError(EarmarkError, ValueError):
    """The input or the usage was wrong. The command line exits with 2."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file cannot be written, and what to do: of a full disk, the system says neither.

    Raises:
        EarmarkError: in the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise EarmarkError(
            f"{path}: cannot be written ({error.strerror or error}); make room there or name another place, and run"
            " the same command again"
        ) from None
