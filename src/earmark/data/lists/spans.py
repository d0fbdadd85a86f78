"""A span of a recording: the columns `path speaker start end` in lists of sections, segments and segment pairs.

Paths start from the folder of the corpus. Times are seconds from the start of the file. An unknown speaker is `-`.
"""

from dataclasses import dataclass

from earmark.data.lists.list_format import Column, number, optional_text, text

UNKNOWN = "-"
# Lists are written with few decimals.
_ROUNDING_S = 0.0011


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a recording, and its speaker.

    Attributes:
        path: path of the recording, relative to the folder of the corpus.
        speaker: name or number of the speaker; empty when unknown.
        start_s: start in the file.
        end_s: end in the file.
    """

    path: str
    speaker: str
    start_s: float
    end_s: float

    def holds(self, start_s: float, end_s: float) -> bool:
        """Whether the interval from `start_s` to `end_s` of the same file is inside this span, up to rounding."""
        return start_s >= self.start_s - _ROUNDING_S and end_s <= self.end_s + _ROUNDING_S


def span_columns(path: str, speaker: str, start: str, end: str) -> tuple[Column, ...]:
    """Make the four columns of a span with the given names: path, speaker, start and end."""
    return text(path), optional_text(speaker, UNKNOWN), number(start), number(end)


def span_values(span: Span) -> tuple[str, str, float, float]:
    """Path, speaker, start and end of a span: the values of the columns by `span_columns`."""
    return span.path, span.speaker, span.start_s, span.end_s
