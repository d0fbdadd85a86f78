"""What can go wrong, in two kinds: the input was wrong, or the work failed."""

from collections.abc import Iterable, Iterator, Sequence
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


class InputErrors(InputError):
    """Several faults of one input. The command line prints each as a line of its own."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(self.faults))


@contextmanager
def collected(faults: list[str], key: str = "") -> Iterator[None]:
    """Add an input error to a list in place of raising it.

    Args:
        faults: the list.
        key: what names the fault, such as ``data.noise``, where its message names no key of that table.
    """
    try:
        yield
    except InputError as error:
        lines = error.faults if isinstance(error, InputErrors) else (str(error),)
        table = key.partition(".")[0]
        faults.extend(line if not key or line.startswith(f"{table}.") else f"{key}: {line}" for line in lines)


def raise_faults(faults: Sequence[str]) -> None:
    """Raise what was collected, if anything was.

    Raises:
        InputError: there are faults; :class:`InputErrors` where there are several.
    """
    if len(set(faults)) > 1:
        raise InputErrors(faults)
    if faults:
        raise InputError(faults[0])


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
