"""A negative: audio that must not trigger a keyword, as its user marked it."""

from dataclasses import dataclass, field

from earmark.spotting.enrolled import now
from earmark.spotting.takes import Take


@dataclass(frozen=True, eq=False, kw_only=True)
class Negative(Take):
    """Audio that must not trigger a keyword.

    Attributes:
        wave: shape (n,), with the audio around the span.
        start_s: start of the span that triggered the keyword, or may trigger it, in seconds.
        end_s: its end in seconds.
        source: origin of the recording, such as a file name.
        created: time when it was marked, ISO 8601 in UTC.
    """

    created: str = field(default_factory=now)
