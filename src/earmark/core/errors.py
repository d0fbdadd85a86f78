"""Errors and warnings: wrong input, failed work, and remarks to the user."""

import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class EarmarkError(Exception):
    """The work failed; the command line exits with 1. The message is one line: what is wrong, where, the cure."""


class InputError(EarmarkError, ValueError):
    """The input or the usage is wrong; the command line exits with 2.

    Attributes:
        problem: the message without the key.
        key: the argument or settings key that is wrong, such as ``min_speech_s`` or ``optimizer.lr``. The message
            begins with it; the command line shows its own option instead. Empty for an error about a file.
    """

    def __init__(self, problem: object = "", *, key: str = "") -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.problem, self.key = str(problem), key


class MissingPackage(InputError):
    """A package that is not installed. The command line shows the command that installs it.

    Attributes:
        package: the name that Python imports.
        extra: the extra of earmark that installs the package.
        alternative: what to do instead; may be empty.
    """

    def __init__(self, package: str, extra: str, alternative: str = "") -> None:
        ending = f", or {alternative}" if alternative else ""
        super().__init__(f"{package}: not installed; install earmark with its extra {extra!r}{ending}")
        self.package, self.extra, self.alternative = package, extra, alternative


class InputErrors(InputError):
    """Several faults of one input. The command line prints each as a line of its own."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(self.faults))


@contextmanager
def collected(faults: list[str], key: str = "") -> Iterator[None]:
    """Catch an `InputError` of the block, and add its message to a list.

    Args:
        faults: the list of messages.
        key: key to put before a fault, such as ``data.noise``, unless the fault begins with a key of the same table.
    """
    try:
        yield
    except InputError as error:
        lines = error.faults if isinstance(error, InputErrors) else (str(error),)
        table = key.partition(".")[0]
        faults.extend(line if not key or line.startswith(f"{table}.") else f"{key}: {line}" for line in lines)


def raise_faults(faults: Sequence[str]) -> None:
    """Raise the collected faults as one error; do nothing if there are none.

    Raises:
        InputError: there is a fault; `InputErrors` if there are several.
    """
    if len(set(faults)) > 1:
        raise InputErrors(faults)
    if faults:
        raise InputError(faults[0])


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Emit a warning, attributed to the nearest caller outside earmark."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "earmark":
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        category,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


@contextmanager
def needs(extra: str, alternative: str = "") -> Iterator[None]:
    """Turn a failed import of the block into an error that names the extra of earmark to install.

    Args:
        extra: name of the extra in pyproject.toml.
        alternative: what the user can do instead; the message puts "or" before it.

    Raises:
        MissingPackage: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "earmark":
            raise
        raise MissingPackage(package, extra, alternative) from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into an `EarmarkError` that names the file and the cure.

    Raises:
        EarmarkError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise EarmarkError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another path, and run the"
            " same command again"
        ) from None
