"""Calibration of an encoder: converts a rate of false alarms to a threshold, and a score to a probability."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from earmark.core.errors import InputError
from earmark.models.impostor_scores import ImpostorScores

RateName = Literal["false_alarms_per_hour", "false_accepts"]

# The keys of a card that hold the miss rates, by the name of the rates.
_MISS_RATES = {"false_alarms_per_hour": "frr", "false_accepts": "false_rejects"}
_FIELDS = ("threshold", "slope", "impostors", *_MISS_RATES, *_MISS_RATES.values())


@dataclass(frozen=True)
class Calibration:
    """Thresholds for rates of false alarms or false accepts, and a curve that converts scores to probabilities.

    Attributes:
        rates: false alarms per hour (keywords) or share of impostors accepted (speakers), ascending, shape (n,).
        thresholds: the scores with those rates, shape (n,).
        slope: steepness of the logistic curve from a score to a probability.
        rate_name: kind of the rates: the name of the argument and of the key in model cards.
        miss_rates: share of true keywords, or of the right voice, below each threshold, shape (n,); empty where it was
            not measured.
        details: other entries of the card about the measurement, such as its hours.
        impostors: how the scores of impostors depend on the length of speech and on noise; None where it was not
            measured, and always for keywords.
    """

    rates: tuple[float, ...]
    thresholds: tuple[float, ...]
    slope: float
    rate_name: RateName = "false_alarms_per_hour"
    miss_rates: tuple[float, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    impostors: ImpostorScores | None = None

    def __post_init__(self) -> None:
        rates = np.asarray(self.rates, np.float64)
        if not len(rates) or not (rates > 0).all() or (np.diff(rates) <= 0).any():
            raise InputError(f"rates must be positive and ascending, not {self.rates}", key=self.rate_name)
        if len(self.thresholds) != len(rates) or len(self.miss_rates) not in (0, len(rates)):
            raise InputError(f"give {len(rates)} thresholds, and as many miss rates or none", key="threshold")

    def threshold(self, rate: float) -> float:
        """Return the threshold for `rate`, interpolated over the logarithm of the rate.

        Raises:
            InputError: `rate` is outside the calibrated range.

        >>> Calibration((1, 100), (0.8, 0.6), slope=20).threshold(10)
        0.7
        """
        low, high = self.rates[0], self.rates[-1]
        if not low <= rate <= high:
            raise InputError(
                f"{rate:g} is outside the calibrated range; choose {low:g} to {high:g}", key=self.rate_name
            )
        return float(np.interp(math.log(rate), np.log(self.rates), self.thresholds))

    def rate(self, threshold: float) -> float:
        """Return the rate of a threshold, the inverse of `threshold`: at most the largest rate, at least the smallest.

        >>> Calibration((1, 100), (0.8, 0.6), slope=20).rate(0.7)
        10.0
        """
        rate = math.exp(np.interp(-threshold, -np.asarray(self.thresholds), np.log(self.rates)))
        return min(self.rates[-1], max(self.rates[0], float(f"{rate:.3g}")))

    def probability(self, score: float, threshold: float) -> float:
        """Return the probability that a detection is true: 0.5 if its score is the threshold, more for a higher score.

        Args:
            score: cosine similarity, in [-1, 1].
            threshold: of the keyword or speaker.
        """
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, self.slope * (score - threshold)))))

    def miss_rate(self, rate: float) -> float | None:
        """Return the miss rate at `rate`, which is one of `rates`; None if it was not measured."""
        return dict(zip(self.rates, self.miss_rates, strict=False)).get(rate)

    @classmethod
    def from_card(cls, card: Mapping[str, Any], encoder: str, rate_name: RateName = "false_alarms_per_hour") -> Self:
        """Read the calibration of a model card.

        Args:
            card: the model card.
            encoder: what messages call the encoder.
            rate_name: the kind of rates that the encoder needs.

        Raises:
            InputError: the card holds no calibration of this kind, or a damaged one.
        """
        found = card.get("calibration")
        cure = "export the encoder again with `earmark export`"
        match card.get("recipe"):
            case {"kind": "sequences"}:  # export cannot calibrate an encoder trained without labeled words
                cure = "adapt from base with `earmark adapt`, which calibrates, or export an encoder of words"
        if not found:
            raise InputError(f"{encoder}: the model card holds no calibration; {cure}")
        try:
            return cls(
                rates=_floats(found[rate_name]),
                thresholds=_floats(found["threshold"]),
                slope=float(found["slope"]),
                rate_name=rate_name,
                miss_rates=_floats(found.get(_MISS_RATES[rate_name], ())),
                details={key: value for key, value in found.items() if key not in _FIELDS},
                impostors=ImpostorScores.from_card(found["impostors"]) if "impostors" in found else None,
            )
        except (InputError, AttributeError, KeyError, TypeError, ValueError) as error:
            problem = str(error) if isinstance(error, InputError) else repr(error)
            raise InputError(f"{encoder}: the calibration in the model card is damaged ({problem}); {cure}") from None

    def to_card(self) -> dict[str, Any]:
        """Make the entry ``calibration`` of a model card, which `from_card` reads."""
        misses = {_MISS_RATES[self.rate_name]: list(self.miss_rates)} if self.miss_rates else {}
        card = {self.rate_name: list(self.rates), "threshold": list(self.thresholds), "slope": self.slope}
        impostors = {"impostors": self.impostors.to_card()} if self.impostors is not None else {}
        return card | misses | impostors | dict(self.details)


def _floats(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, numbers))
