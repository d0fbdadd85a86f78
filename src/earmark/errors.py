"""What can go wrong, in two kinds: the input was wrong, or the work failed."""


class EarmarkError(Exception):
    """The work failed; the command line exits with 1. The message is one line: the file or key, and the cure."""


class InputError(EarmarkError, ValueError):
    """The input or the usage was wrong. The command line exits with 2."""
