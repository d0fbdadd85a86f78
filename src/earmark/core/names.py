"""Names of keywords and of speakers: what may be one, and which are the same."""

import unicodedata

from earmark.core.errors import InputError

NAME_LENGTH = 64
"""Characters that a name may have."""

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories of control, format and broken characters
_JOINERS = "\u200c\u200d"  # invisible, but part of how words are written in Persian, Hindi and others


def clean_name(name: str, of: str = "keyword") -> str:
    """A name, trimmed and in Unicode's composed form (NFC).

    Args:
        name: as somebody typed it.
        of: what it names, for messages.

    Raises:
        InputError: it is empty, longer than `NAME_LENGTH`, or holds control or invisible characters.

    >>> clean_name("  Grüß Gott ")
    'Grüß Gott'
    """
    cleaned = unicodedata.normalize("NFC", name.strip())
    if not cleaned:
        raise InputError(f"a {of}'s name is empty; give it at least one character")
    if len(cleaned) > NAME_LENGTH:
        raise InputError(f"{of} '{cleaned[:20]}…': {len(cleaned)} characters; a name has at most {NAME_LENGTH}")
    for character in cleaned:
        if unicodedata.category(character) in _UNSEEN and character not in _JOINERS:
            raise InputError(f"{of} {cleaned!a}: remove the control character {character!a} from the name")
    if not cleaned.strip(_JOINERS):
        raise InputError(f"{of} {cleaned!a}: nothing in the name can be seen; give it a letter")
    return cleaned


def fold(name: str) -> str:
    """The name as it is compared: whoever types it may type another case or another normal form.

    >>> fold("Straße ") == fold("STRASSE")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())
