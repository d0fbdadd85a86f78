"""From a wanted number of false alarms to a threshold, and from a score to a probability.

An encoder's card says what hours of background sound scored: at which threshold so many false alarms an hour are heard.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earmark.core.errors import InputError

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, and the rate of false alarms or accepts that it stands for; None where that is not known."""

    threshold: float
    rate: float | None


def operating_point(
    threshold_at: Callable[[float], float],
    rate: float | None,
    default: float,
    *,
    kept: OperatingPoint | None = None,
    is_comparable: bool = False,
) -> OperatingPoint:
    """Where to listen: at the rate that is wanted now, else where it was, else at the rate that was wanted before.

    Args:
        threshold_at: from a rate to the encoder's threshold.
        rate: what is wanted now; None leaves things as they are.
        default: the rate where none is known.
        kept: the operating point so far.
        is_comparable: whether its scores are this encoder's.
    """
    if rate is None and kept is not None:
        if is_comparable:
            return kept
        rate = kept.rate
    chosen = default if rate is None else rate
    return OperatingPoint(threshold_at(chosen), chosen)


def threshold(encoder: Encoder, false_alarms_per_hour: float) -> float:
    """The score from which on a keyword counts as heard.

    Between two rates of the card the threshold is interpolated over the logarithm of the rate. Beyond its smallest and
    largest rate the card says nothing.

    Args:
        encoder: whose card is asked.
        false_alarms_per_hour: how many are acceptable, for each keyword.

    Raises:
        InputError: the rate is beyond those of the card, or the card has no calibration.
    """
    rates, thresholds, _ = _card(encoder)
    if not rates[0] <= false_alarms_per_hour <= rates[-1]:
        raise InputError(
            f"false_alarms_per_hour: {false_alarms_per_hour:g} is beyond what encoder {encoder.name!r} was calibrated "
            f"for; choose one from {rates[0]:g} to {rates[-1]:g}"
        )
    return _interpolated(false_alarms_per_hour, rates, thresholds)


def probability(encoder: Encoder, score: float, threshold: float) -> float:
    """How sure a detection is: 0.5 at the threshold, nearing 1 above it.

    Args:
        encoder: whose card says how steeply sureness grows with the score.
        score: cosine similarity, in [-1, 1].
        threshold: of the keyword.

    Raises:
        InputError: the card has no calibration.
    """
    _, _, slope = _card(encoder)
    return _logistic(slope * (score - threshold))


def speaker_threshold(encoder: SpeakerEncoder, false_accepts: float) -> float:
    """The score from which on a voice counts as an enrolled one.

    Between two rates of the card the threshold is interpolated over the logarithm of the rate. Beyond its smallest and
    largest rate the card says nothing.

    Args:
        encoder: whose card says what other voices score.
        false_accepts: share of other voices' words that may pass; 0.05 lets every twentieth pass.

    Raises:
        InputError: the rate is beyond those of the card, or the card has no calibration.
    """
    rates, thresholds, _ = _speaker_card(encoder)
    if not rates[0] <= false_accepts <= rates[-1]:
        raise InputError(
            f"false_accepts: {false_accepts:g} is beyond what speaker encoder {encoder.name!r} was calibrated for; "
            f"choose one from {rates[0]:g} to {rates[-1]:g}"
        )
    return _interpolated(false_accepts, rates, thresholds)


def speaker_probability(encoder: SpeakerEncoder, score: float, threshold: float) -> float:
    """How sure it is that a voice is the enrolled one: 0.5 at the threshold, nearing 1 above it.

    Args:
        encoder: whose card says how steeply sureness grows with the score.
        score: cosine similarity, in [-1, 1].
        threshold: of the speaker.

    Raises:
        InputError: the card has no calibration.
    """
    _, _, slope = _speaker_card(encoder)
    return _logistic(slope * (score - threshold))


def _interpolated(rate: float, rates: list[float], thresholds: list[float]) -> float:
    return float(np.interp(math.log(rate), np.log(rates), thresholds))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, x))))


def _card(encoder: Encoder) -> tuple[list[float], list[float], float]:
    match encoder.card.get("calibration"):
        case {"false_alarms_per_hour": [_, *_] as rates, "threshold": [_, *_] as thresholds, "slope": slope}:
            if len(rates) == len(thresholds):
                return rates, thresholds, slope
    cure = "export it anew with `earmark export`"
    match encoder.card.get("recipe"):
        case {"kind": "sequences"}:  # an export cannot calibrate what learned without labeled words
            cure = "adapt from base with `earmark adapt`, which calibrates, or export an encoder of words"
    raise InputError(f"encoder {encoder.name!r}: its card holds no calibration; {cure}")


def _speaker_card(encoder: SpeakerEncoder) -> tuple[list[float], list[float], float]:
    match encoder.card.get("calibration"):
        case {"false_accepts": [_, *_] as rates, "threshold": [_, *_] as thresholds, "slope": slope}:
            if len(rates) == len(thresholds):
                return rates, thresholds, slope
    raise InputError(
        f"speaker encoder {encoder.name!r}: its card holds no calibration; export it anew with `earmark export`"
    )
