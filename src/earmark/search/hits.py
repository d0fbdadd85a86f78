"""Hits of a search, and the formats in which other programs read them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Hit:
    """A span of a file that matches a query.

    Attributes:
        file: absolute path.
        start_s: start of the span.
        end_s: end of the span.
        score: cosine with the query.
        verifier_score: similarity by the verifier; None where it did not compare the audio.
    """

    file: str
    start_s: float
    end_s: float
    score: float
    verifier_score: float | None = None


def as_ctm(hits: Iterable[Hit], label: str) -> str:
    r"""Format hits as CTM for NIST's tools: a line `recording channel start duration word confidence` per hit.

    White space separates the columns of CTM; in a file name or word it becomes `_`.

    >>> as_ctm([Hit("a b.wav", 1.5, 2.0, 0.87)], "hey you")
    'a_b.wav 1 1.500 0.500 hey_you 0.8700\n'
    """
    return "".join(
        f"{_one_word(hit.file)} 1 {hit.start_s:.3f} {hit.end_s - hit.start_s:.3f} {_one_word(label)} {hit.score:.4f}\n"
        for hit in hits
    )


def as_labels(hits: Iterable[Hit], label: str) -> str:
    r"""Format hits as a label track for Audacity: a line `start<TAB>end<TAB>label` per hit, sorted by time.

    >>> as_labels([Hit("a.wav", 1.5, 2.0, 0.87)], "hey you")
    '1.500000\t2.000000\they you 0.87\n'
    """
    ordered = sorted(hits, key=lambda hit: hit.start_s)
    return "".join(f"{hit.start_s:.6f}\t{hit.end_s:.6f}\t{label} {hit.score:.2f}\n" for hit in ordered)


def _one_word(text: str) -> str:
    return "_".join(text.split())
