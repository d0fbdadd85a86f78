"""Agreement of takes: what they have in common, aligned, is the word, and its length is their agreement.

`find_speech` sees one take alone, so a breath, an "uh" or a second voice beside the word may count as a part of it.
Other takes do not contain that. Each pair of takes is aligned by their frames, and each take votes for the place of the
word in the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Span = tuple[float, float]
"""Start and end in seconds."""

# Chosen on words that no result is reported on, see docs/decisions/0018.
LEAST_SIMILARITY = 0.2
"""Less similar frames lower the score of an alignment."""

LEAST_SCORE = 1.5
"""An alignment with a lower score is by chance."""

SAME_S = 0.12
"""Votes within this time of each other agree."""

NEAR_S = 0.1
"""A border that is this near to the votes stays."""

LEAD_S, TAIL_S = (-0.3, 0.0), (0.0, 0.25)
"""Least and most time by which the word begins before its alignment, and ends after it."""

SHORTEST_S = 0.12
"""A shorter agreement is none."""

LONGEST_RATIO = 1.4
"""An agreement that is longer than the median of the spans by a larger factor is none."""

MOST_PARTNERS = 8
"""A take is aligned with at most so many others."""


@dataclass(frozen=True)
class Alignment:
    """The best local alignment of two sequences of frames.

    Attributes:
        score: sum of the similarities along the path, each less `LEAST_SIMILARITY`.
        first: in the first sequence, the first frame, and the frame after the last one.
        second: the same in the second sequence.
    """

    score: float
    first: tuple[int, int]
    second: tuple[int, int]


@dataclass(frozen=True)
class Agreement:
    """Where the word of a take is.

    Attributes:
        span: the agreed one.
        voted: where the other takes place the word, which may be beyond the edges of the recording; None where they do
            not agree.
    """

    span: Span
    voted: Span | None = None


@dataclass(frozen=True)
class _Vote:
    """Where the word of a take is, by its alignment with another take."""

    start_s: float
    end_s: float
    score: float

    def agrees(self, other: _Vote) -> bool:
        return abs(self.start_s - other.start_s) <= SAME_S and abs(self.end_s - other.end_s) <= SAME_S

    def overlaps(self, other: _Vote) -> bool:
        shared_s = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        return 2 * shared_s > min(self.end_s - self.start_s, other.end_s - other.start_s)


def agree(frames: Sequence[Floats], spans: Sequence[Span], hop_s: float) -> list[Agreement]:
    """Move the borders of words to where most takes agree.

    Args:
        frames: of each take, shape (t, width).
        spans: of the word in each take, from `find_speech`.
        hop_s: time between frames, in seconds.

    Returns:
        The agreement on each take. A border within 0.1 s of the votes stays, and so does the span of a take that has
        nothing in common with at least half of the others, and that of a single take.

    >>> word = 5 * np.eye(10, dtype=np.float32)
    >>> hush = np.full((10, 10), 0.05, np.float32)
    >>> takes = [np.concatenate([hush, word, hush])] * 3
    >>> [each.span for each in agree(takes, [(0.4, 0.8), (0.4, 0.8), (0.0, 1.2)], 0.04)]
    [(0.4, 0.8), (0.4, 0.8), (0.4, 0.8)]
    """
    scaled = [_scaled(own, span, hop_s) for own, span in zip(frames, spans, strict=True)]
    votes: list[list[_Vote]] = [[] for _ in frames]
    partners = np.zeros(len(frames), int)
    for one, other in _pairs(len(frames)):
        partners[[one, other]] += 1
        found = align(scaled[one] @ scaled[other].T)
        if found.score >= LEAST_SCORE:
            votes[other].append(_vote(found.first, found.second, spans[one], hop_s, found.score))
            votes[one].append(_vote(found.second, found.first, spans[other], hop_s, found.score))
    lengths_s = [end_s - start_s for start_s, end_s in spans]
    longest_s = LONGEST_RATIO * float(np.median(lengths_s)) if lengths_s else 0.0
    return [
        _agreed(span, own, int(most), longest_s, len(each) * hop_s)
        for span, own, most, each in zip(spans, votes, partners, frames, strict=True)
    ]


def _scaled(frames: Floats, span: Span, hop_s: float) -> Floats:
    """Frames of at most unit length: those of the word have about that, those of background less."""
    norms = np.linalg.norm(frames, axis=1)
    first = min(int(span[0] / hop_s), max(0, len(frames) - 1))
    word = norms[first : max(first + 1, round(span[1] / hop_s))]
    usual = float(np.percentile(word, 75)) if len(word) else 1.0
    return np.asarray(frames / np.maximum(norms, usual + 1e-9)[:, None], np.float32)


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    """Pairs of takes; of many takes, each has `MOST_PARTNERS` partners."""
    for step in range(1, min(count // 2, MOST_PARTNERS // 2) + 1):
        for one in range(count if 2 * step < count else step):
            yield one, (one + step) % count


def _vote(own: tuple[int, int], others: tuple[int, int], span: Span, hop_s: float, score: float) -> _Vote:
    """The place of the word in another take: as long before and after the alignment as in this one, within limits."""
    lead_s, tail_s = own[0] * hop_s - span[0], span[1] - own[1] * hop_s
    return _Vote(
        others[0] * hop_s - float(np.clip(lead_s, *LEAD_S)), others[1] * hop_s + float(np.clip(tail_s, *TAIL_S)), score
    )


def _agreed(span: Span, votes: Sequence[_Vote], partners: int, longest_s: float, length_s: float) -> Agreement:
    """The span with each border that is far from the median of the votes moved there."""
    if not votes:
        return Agreement(span)
    # Of two places, such as a word said twice, the one with more support.
    best = max(votes, key=lambda vote: sum(other.score for other in votes if vote.agrees(other)))
    kept = [vote for vote in votes if vote.overlaps(best)]
    if 2 * len(kept) < partners:
        return Agreement(span)
    own = _Vote(*span, 0.0)
    every = [*kept, own] if own.overlaps(best) else kept
    # The median; of an even number, the shorter word.
    middle_s = (
        sorted(vote.start_s for vote in every)[len(every) // 2],
        sorted(vote.end_s for vote in every)[(len(every) - 1) // 2],
    )
    borders_s = np.array([(vote.start_s, vote.end_s) for vote in kept])
    voted_s = np.median(borders_s, axis=0)
    start_s, end_s = (
        _border(now, middle, borders_s[:, side], length_s)
        for side, (now, middle) in enumerate(zip(span, middle_s, strict=True))
    )
    known_s = span[1] - span[0]
    agreed = (start_s, end_s) if SHORTEST_S <= end_s - start_s <= max(longest_s, known_s) else span
    return Agreement(agreed, (float(voted_s[0]), float(voted_s[1])))


def _border(now_s: float, middle_s: float, votes_s: NDArray[np.float64], length_s: float) -> float:
    """The median of the votes, if it is far from the border, and half of the votes are near it."""
    support = int(np.sum(np.abs(votes_s - middle_s) <= SAME_S))
    if abs(middle_s - now_s) <= NEAR_S or 2 * support < len(votes_s):
        return now_s
    return round(min(max(middle_s, 0.0), length_s), 3)


def align(similarity: Floats) -> Alignment:
    """Local alignment of two sequences by dynamic programming; one may be up to twice as fast as the other.

    Args:
        similarity: of each frame of the first to each frame of the second, shape (m, n).
    """
    rows, columns = similarity.shape
    gain = np.asarray(similarity, np.float64) - LEAST_SIMILARITY
    # Rows and columns are two places later than in the similarity. A path steps from the frames one before in both, or
    # one before in one and two before in the other.
    score = np.zeros((rows + 2, columns + 2))
    starts = np.zeros((rows + 2, columns + 2, 2), np.int64)
    every = np.arange(columns)
    for row in range(rows):
        earlier = np.stack([np.zeros(columns), score[row + 1, 1:-1], score[row + 1, :-2], score[row, 1:-1]])
        fresh = np.stack([np.full(columns, row), every], axis=1)
        begun = np.stack([fresh, starts[row + 1, 1:-1], starts[row + 1, :-2], starts[row, 1:-1]])
        best = earlier.argmax(axis=0)
        score[row + 2, 2:] = np.maximum(earlier[best, every] + gain[row], 0)
        starts[row + 2, 2:] = begun[best, every]
    if not score.any():
        return Alignment(0.0, (0, 0), (0, 0))
    row, column = (int(place) for place in np.unravel_index(score.argmax(), score.shape))
    first, second = (int(place) for place in starts[row, column])
    return Alignment(float(score[row, column]), (first, row - 1), (second, column - 1))
