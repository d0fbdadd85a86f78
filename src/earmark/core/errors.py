"""What can go wrong, in two kinds: the input was wrong, or the work failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EarmarkError(Exception):
    """The work failed; the command line exits with 1. The message is one line: the file or key, and the cure."""


class InputError(EarmarkError, ValueError):
    """The input or the usage was wrong. The command line exits with 2.

    Attributes:
        problem: the message without the key.
        key: the argument or settings key that is wrong, such as ``min_speech_s`` or ``optimizer.lr``. The message
            begins with it; the command line shows its own option instead. Empty for an error about a file.
    """

    def __init__(self, problem: object = "", *, key: str = "") -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.problem, self.key = str(problem), key


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
