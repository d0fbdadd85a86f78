"""What to expect of a keyword at its threshold: missed words, and the probability that a detection is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from earmark.spotting.keyword import Keyword, joint_take_scores, word_length_s
from earmark.spotting.keyword_calibration import BackgroundTail, Logistic, VerifierCalibration, mixed_threshold
from earmark.spotting.parts import WHOLE
from earmark.spotting.take_frames import take_frames

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.spotting.detector_settings import DetectorSettings

# Fitted on words that no result is reported on, see docs/decisions/0015. Units are scales of the background's tail.
ABOVE = 0.3
"""Mean score of true words, above the mean of the scores of the takes with and without themselves."""

SPREAD = 2.8
"""Standard deviation of the scores of true words."""

LEARNING = 0.75
"""Gain in standard deviations per unit by which the inverse of the number of takes falls."""

REFERENCE_RATE = 0.5
"""The probability is relative to the score with this rate of false alarms per hour."""

MARGIN, CERTAINTY = 0.95, 1.37
"""Where the probability is 0.5, above that score, with many takes; and its steepness there."""

TAKE_MARGIN = 0.6
"""Divided by the number of takes and added to the margin: few takes reach high scores more rarely."""


JOINT_ABOVE, JOINT_SPREAD = 2.75, 4.5
"""As `ABOVE` and `SPREAD` with the verifier, above the mean score of the takes against the others."""

JOINT_MARGIN, JOINT_CERTAINTY = 1.4, 1.7
"""As `MARGIN` and `CERTAINTY` with the verifier."""

MANY_MISSES = 0.5
"""A keyword with more expected misses will rarely be detected."""

SHORT_S = 0.6
"""A shorter word rarely gets better with more takes."""


def with_expectations(keyword: Keyword, encoder: Encoder, settings: DetectorSettings) -> Keyword:
    """The keyword with its expected misses, and the probability of its detections; None without a measured tail.

    Args:
        keyword: with its threshold and its tail.
        encoder: of the keyword.
        settings: of the detector.
    """
    tails, second = keyword.calibration.tails, keyword.calibration.verifier
    if second is not None:
        second = replace(
            second,
            expected_misses=joint_misses(keyword, second),
            logistic=detection_probability([second.tail], keyword.take_weight, JOINT_MARGIN, JOINT_CERTAINTY),
        )
    changed = replace(
        keyword.calibration,
        expected_misses=expected_misses(keyword, encoder, tails[0], settings) if tails else None,
        logistic=detection_probability(tails, keyword.take_weight) if tails else None,
        verifier=second,
    )
    return replace(keyword, calibration=changed)


def expected_misses(
    keyword: Keyword, encoder: Encoder, tail: BackgroundTail, settings: DetectorSettings
) -> float | None:
    """Share of true words that score below the threshold, in voices and rooms like those of the takes.

    The mean score of true words is estimated halfway between the scores of the takes against all takes (too high: they
    contain the take) and against the others (too low: they are one take fewer).

    Args:
        keyword: with its threshold.
        encoder: of the keyword.
        tail: its scale is the unit of the spread of true words.
        settings: of the detector.

    Returns:
        In [0, 1]; None with less than two takes.
    """
    if len(keyword.takes) < 2 or keyword.parts is None:
        return None
    scores = []
    for number, take in enumerate(keyword.takes):
        framed = take_frames(take, encoder)
        scores += [framed.score(scorer, encoder, settings) for scorer in (keyword, _without(keyword, number))]
    mean = float(np.mean(scores)) + ABOVE * tail.scale
    return NormalDist(mean, SPREAD * tail.scale).cdf(keyword.threshold)


def joint_misses(keyword: Keyword, calibration: VerifierCalibration) -> float | None:
    """Share of true words that score below the threshold with the verifier; None with less than two takes.

    Args:
        keyword: with its threshold, and the embeddings of the verifier.
        calibration: its scale is the unit of the spread of true words.
    """
    takes = joint_take_scores(keyword)
    if takes is None:
        return None
    mean = calibration.score(float(np.mean(takes))) + JOINT_ABOVE * calibration.tail.scale
    return NormalDist(mean, JOINT_SPREAD * max(calibration.tail.scale, 1e-6)).cdf(keyword.threshold)


def _without(keyword: Keyword, number: int) -> Keyword:
    """The keyword without one of its takes."""
    takes = (*keyword.takes[:number], *keyword.takes[number + 1 :])
    assert keyword.parts is not None
    parts = np.delete(keyword.parts, number, axis=0)
    return replace(
        keyword,
        takes=takes,
        parts=parts,
        embeddings=parts[:, WHOLE],
        duration_s=word_length_s(takes, keyword.synthetic),
        verifier=None if keyword.verifier is None else keyword.verifier.without(number),
    )


def rare_detections(keyword: Keyword) -> str | None:
    """One line on a keyword whose threshold most true words are expected to miss; None for another one."""
    second = keyword.calibration.verifier
    misses = keyword.calibration.expected_misses if second is None else second.expected_misses
    if misses is None or misses <= MANY_MISSES:
        return None
    cure = "choose a longer word" if keyword.duration_s < SHORT_S else "add takes"
    return f"{keyword.name!r} will rarely be detected; {cure}, or allow more false alarms per hour"


def misses_with(misses: float, count: int, more: int) -> float:
    """Expected misses with more takes.

    Args:
        misses: with `count` takes.
        count: number of takes.
        more: number of further takes.

    >>> round(misses_with(0.25, 3, 2), 3)
    0.219
    """
    gain = LEARNING * (1 / count - 1 / (count + more))
    normal = NormalDist()
    return normal.cdf(normal.inv_cdf(min(max(misses, 1e-6), 1 - 1e-6)) - gain)


def detection_probability(
    tails: Sequence[BackgroundTail], takes: float, margin: float = MARGIN, certainty: float = CERTAINTY
) -> Logistic:
    """The probability that a detection is right, by its score, if the word is spoken once an hour.

    Args:
        tails: of the backgrounds whose mean rate counts.
        takes: their weight, the number of recordings.
        margin: where the probability is 0.5 with many takes, above the reference.
        certainty: its steepness there.
    """
    scale = tails[0].scale
    above = (margin + TAKE_MARGIN / max(1, takes)) * scale
    return Logistic(slope=certainty / scale, offset=mixed_threshold(tails, REFERENCE_RATE) + above)
