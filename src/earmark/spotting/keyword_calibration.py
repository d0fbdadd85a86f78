"""Calibration of one keyword: where its threshold comes from, and what its scores mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ThresholdOrigin = Literal["rate", "user", "room"]
"""Who set a threshold: the shipped background, for a rate; the user, as a number; a recording of the user's room."""


TAIL_SHAPE = -0.1
"""Shape ξ of the tails of all keywords: similarities have an upper bound, and so have their tails."""


@dataclass(frozen=True)
class BackgroundTail:
    """The generalized Pareto tail of the events of background audio: how often it reaches a score.

    Attributes:
        level: score u that the events of the tail exceed.
        scale: of the exceedances, σ.
        count: number of events above the level, n.
        hours: length of the background.
        shape: ξ.
    """

    level: float
    scale: float
    count: int
    hours: float
    shape: float = TAIL_SHAPE

    def threshold(self, rate: float) -> float:
        """Score that background reaches `rate` times an hour, u + σ / ξ · ((rate · hours / n)^-ξ - 1), in [-1, 1].

        >>> BackgroundTail(level=0.6, scale=0.05, count=40, hours=1.0).threshold(40)
        0.6
        """
        excess = self.scale / self.shape * ((rate * self.hours / self.count) ** -self.shape - 1)
        return min(1.0, max(-1.0, self.level + excess))

    def rate(self, threshold: float) -> float:
        """Expected false alarms per hour at a threshold; below the level it is extrapolated.

        >>> BackgroundTail(level=0.6, scale=0.05, count=40, hours=2.0).rate(0.6)
        20.0
        """
        remaining = 1 + self.shape * (threshold - self.level) / max(self.scale, 1e-6)
        return float(self.count / self.hours * max(0.0, remaining) ** (-1 / self.shape))


def mixed_threshold(tails: Sequence[BackgroundTail], rate: float) -> float:
    """Score whose expected rate, averaged over several backgrounds, is `rate`; in [-1, 1].

    >>> quiet, loud = (BackgroundTail(level, 0.05, 40, 1.0) for level in (0.5, 0.6))
    >>> quiet.threshold(1.0) < mixed_threshold([quiet, loud], 1.0) < loud.threshold(1.0)
    True
    """
    low, high = (chosen(tail.threshold(rate) for tail in tails) for chosen in (min, max))
    for _ in range(40):
        middle = (low + high) / 2
        is_too_low = sum(tail.rate(middle) for tail in tails) > rate * len(tails)
        low, high = (middle, high) if is_too_low else (low, middle)
    return high


@dataclass(frozen=True)
class Logistic:
    """A logistic curve from a score to the probability that a detection is right.

    Attributes:
        slope: steepness, per unit of score.
        offset: score with probability 0.5.
    """

    slope: float
    offset: float

    def probability(self, score: float) -> float:
        """Probability that a detection with this score is right.

        >>> Logistic(slope=20.0, offset=0.6).probability(0.6)
        0.5
        """
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, self.slope * (score - self.offset)))))


@dataclass(frozen=True, kw_only=True)
class VerifierCalibration:
    """What is known about the scores of one keyword with the verifier.

    Joint scores of both stages are converted to the scale of the first stage: the threshold for a rate is the same, and
    scores vary as much. So a keyword has one threshold, with and without the verifier.

    Attributes:
        candidate: score of the first stage from which a peak is verified.
        slope: factor of the joint score.
        offset: added to it.
        tail: of the converted scores of background audio.
        expected_misses: share of true words below the threshold.
        logistic: probability of a detection by its converted score.
    """

    candidate: float
    slope: float
    offset: float
    tail: BackgroundTail
    expected_misses: float | None = None
    logistic: Logistic | None = None

    def score(self, joint: float) -> float:
        """A joint score on the scale of the first stage.

        >>> tail = BackgroundTail(level=0.6, scale=0.05, count=20, hours=1.0)
        >>> VerifierCalibration(candidate=0.5, slope=2.0, offset=-0.5, tail=tail).score(0.6)
        0.7
        """
        return self.slope * joint + self.offset


@dataclass(frozen=True, kw_only=True)
class KeywordCalibration:
    """What is known about the scores of one keyword; None where it was not measured.

    Attributes:
        origin: who set the threshold.
        tail: of the background on which the threshold was measured.
        room: tail of the user's room, if the threshold was tuned to it.
        expected_misses: share of true words below the threshold.
        logistic: probability of a detection by its score.
        verifier: the same with the verifier; None where the keyword is detected without it.
    """

    origin: ThresholdOrigin = "rate"
    tail: BackgroundTail | None = None
    room: BackgroundTail | None = None
    expected_misses: float | None = None
    logistic: Logistic | None = None
    verifier: VerifierCalibration | None = None

    @property
    def tails(self) -> list[BackgroundTail]:
        """The measured tails, whose mean rate counts: of the background first."""
        return [tail for tail in (self.tail, self.room) if tail is not None]

    def false_alarms_per_hour(self, threshold: float) -> float | None:
        """Expected false alarms per hour at a threshold; None without a measured tail."""
        rates = [tail.rate(threshold) for tail in self.tails]
        return sum(rates) / len(rates) if rates else None
