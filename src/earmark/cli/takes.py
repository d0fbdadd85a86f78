"""What the commands that enroll share: reading takes, and saying where a threshold came from."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.core.audio import Wave
    from earmark.spotting.keyword import Keyword
    from earmark.spotting.speaker import Speaker


def read_take(file: Path, longest_s: float, cure: str) -> "Wave":
    """The sound of a take, shape (n,); the cure is for one that is too long."""
    from earmark import audio
    from earmark.core.errors import InputError

    # Three hours of sound need not be read to be refused.
    length_s = audio.duration_s(file)
    if length_s > longest_s:
        raise InputError(f"{file}: {length_s:.0f} s long, and a take is at most {longest_s:.0f} s; {cure}")
    return audio.read(file)


def whence(known: "Keyword | Speaker | None", encoder: str, rate: float | None) -> str:
    """Where a threshold came from that nobody chose just now, to follow it in a sentence.

    Args:
        known: the keyword or speaker as it was.
        encoder: fingerprint of the encoder that hears it now.
        rate: what was asked for.
    """
    if known is None or rate is not None:
        return ""
    if known.encoder == encoder:
        return ", as before"
    before = known.rate
    if before is not None:
        return f", set anew for the {before:g} that was chosen"
    return ", set anew at the default rate: another encoder's threshold does not fit, and the rate chosen is not known"
