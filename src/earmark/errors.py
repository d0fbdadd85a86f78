"""What can go wrong, in two kinds: the input was wrong, or the work failed."""


class EarmarkError(Exception):
    """The work failed. The message is one line that names the file or key, and the cure; the command line exits with 1."""


class InputError(EarmarkError, ValueError):
    """The input or the usage was wrong. The command line exits with 2."""
