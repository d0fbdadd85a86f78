"""From a wanted number of false alarms to a threshold, and from a score to a probability.

An encoder's card says what hours of background sound scored: at which threshold so many false alarms an hour are heard.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from earmark.errors import InputError

if TYPE_CHECKING:
    from earmark.encoder import Encoder


def threshold(encoder: Encoder, false_alarms_per_hour: float) -> float:
    """The score from which on a keyword counts as heard.

    Between two rates of the card the threshold is interpolated over the logarithm of the rate. The card says nothing
    beyond its smallest and largest rate; a wanted rate beyond them gets the threshold of the nearest.

    Args:
        encoder: whose card is asked.
        false_alarms_per_hour: how many are acceptable, for each keyword; more than 0.

    Raises:
        InputError: the rate is not a positive number, or the card has no calibration.
    """
    if not (math.isfinite(false_alarms_per_hour) and false_alarms_per_hour > 0):
        raise InputError(f"false_alarms_per_hour: {false_alarms_per_hour} is not a number above 0")
    rates, thresholds, _ = _card(encoder)
    return float(np.interp(math.log(false_alarms_per_hour), np.log(rates), thresholds))


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
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, slope * (score - threshold)))))


def _card(encoder: Encoder) -> tuple[list[float], list[float], float]:
    match encoder.card.get("calibration"):
        case {"false_alarms_per_hour": [_, *_] as rates, "threshold": [_, *_] as thresholds, "slope": slope}:
            if len(rates) == len(thresholds):
                return rates, thresholds, slope
    raise InputError(f"encoder {encoder.name!r}: its card holds no calibration; export it anew with `earmark export`")
