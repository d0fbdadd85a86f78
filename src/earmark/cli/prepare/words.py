"""Words on the command line: parted by commas; a name such as gsc/user-defined stands for a group of them."""

from earmark.core.errors import InputError

HELP = "parted by commas, or gsc/pre-defined, gsc/unknown, gsc/user-defined"


def read_words(text: str, option: str) -> list[str]:
    """The words that an option names, each written as in lists.

    Raises:
        InputError: no word, or an unknown group.

    >>> read_words("zoom in,gsc/user-defined", "--keywords")[:3]
    ['zoom_in', 'zero', 'one']
    """
    from earmark.data.corpora.speech_commands import WORD_GROUPS
    from earmark.data.lists.clip_lists import listed_label

    words: list[str] = []
    for part in filter(None, map(listed_label, text.split(","))):
        if part.startswith("gsc/") and part not in WORD_GROUPS:
            raise InputError(f"{option}: no group {part!r}; the groups are {', '.join(WORD_GROUPS)}")
        words += WORD_GROUPS.get(part, (part,))
    if not words:
        raise InputError(f"{option}: names no word; part words by commas, as in yes,no")
    return words


def read_numbers(text: str, option: str) -> list[int]:
    """The numbers from 1 on that an option names, rising.

    Raises:
        InputError: something else.

    >>> read_numbers("10,1,5", "--takes")
    [1, 5, 10]
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"{option} {text}: expected numbers from 1 on, parted by commas, as in 1,5,10")
    return sorted({int(part) for part in parts})
