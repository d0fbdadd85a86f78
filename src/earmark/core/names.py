"""Names of keywords and speakers: which are valid, and which are equal."""

import unicodedata

from earmark.core.errors import InputError

NAME_LENGTH = 64
"""The longest name, in characters."""

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories of control, format and broken characters
_JOINERS = "\u200c\u200d"  # invisible, but part of the spelling in Persian, Hindi and others


def clean_name(name: str, of: str = "keyword") -> str:
    """Trim a name and bring it into Unicode's composed form (NFC).

    Args:
        name: as the user typed it.
        of: what the name belongs to, such as a keyword, for messages.

    Raises:
        InputError: the name is not a string, is empty or longer than `NAME_LENGTH`, or contains control or invisible
            characters.

    >>> clean_name("  Grüß Gott ")
    'Grüß Gott'
    """
    if not isinstance(name, str):
        raise InputError(f"the name of a {of} must be a str, not {type(name).__name__}", key="name")
    cleaned = unicodedata.normalize("NFC", name.strip())
    if not cleaned:
        raise InputError(f"the name of a {of} is empty; give it at least one character", key="name")
    if len(cleaned) > NAME_LENGTH:
        raise InputError(f"{of} '{cleaned[:20]}…': {len(cleaned)} characters are too many; shorten it to {NAME_LENGTH}")
    for character in cleaned:
        if unicodedata.category(character) in _UNSEEN and character not in _JOINERS:
            raise InputError(f"{of} {cleaned!a}: remove the control character {character!a} from the name")
    if not cleaned.strip(_JOINERS):
        raise InputError(f"{of} {cleaned!a}: the name has no visible character; add a letter")
    return cleaned


def fold(name: str) -> str:
    """Return the form in which names are compared: case and normal form are ignored.

    >>> fold("Straße ") == fold("STRASSE")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())
