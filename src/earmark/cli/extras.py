"""What an install without an extra says when a command needs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from earmark.core.errors import InputError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Imports inside need an extra of the distribution.

    Raises:
        InputError: a package is not installed; the message names the extra that brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] == "earmark":
            raise
        raise InputError(f'{error.name}: not installed; run: pip install "earmark[{extra}]"') from None
