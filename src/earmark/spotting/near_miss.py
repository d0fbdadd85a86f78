"""A near miss: audio whose score comes close to the threshold of a keyword, kept for review."""

from dataclasses import dataclass, field

from earmark.spotting.enrolled import now
from earmark.spotting.takes import Take


@dataclass(frozen=True, eq=False, kw_only=True)
class NearMiss(Take):
    """Audio whose score comes close to the threshold of a keyword, or exceeds it.

    Attributes:
        wave: shape (n,), with the audio around the span.
        start_s: start of the best window, in seconds.
        end_s: its end in seconds.
        source: recording and time, such as `room.wav at 12:03`.
        score: of the window.
        created: time when it was found, ISO 8601 in UTC.
    """

    score: float
    created: str = field(default_factory=now)
