"""A span of a recording: columns `path speaker start end` of the lists of sections, segments and segment pairs.

Paths start from the folder of the corpus, times are seconds from the start of the file. `-` is an unknown speaker.
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
        path: of the recording, from the folder of the corpus.
        speaker: empty when unknown.
        start_s: start in the file.
        end_s: end in the file.
    """

    path: str
    speaker: str
    start_s: float
    end_s: float

    def holds(self, start_s: float, end_s: float) -> bool:
        """Whether another part of the same file is inside, except for rounding."""
        return start_s >= self.start_s - _ROUNDING_S and end_s <= self.end_s + _ROUNDING_S


def span_columns(path: str, speaker: str, start: str, end: str) -> tuple[Column, ...]:
    """The four columns of a span, under the names that a format gives them."""
    return text(path), optional_text(speaker, UNKNOWN), number(start), number(end)


def span_values(span: Span) -> tuple[str, str, float, float]:
    """Values of the four columns."""
    return span.path, span.speaker, span.start_s, span.end_s
