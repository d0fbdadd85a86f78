"""Scores of impostors by length of speech and noise, so that one threshold accepts the same share of them anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TEST_S = (0.5, 10.0)
ENROLLED_S = (1.0, 10.0)
QUIET_DB = 25.0
LOUD_DB = 5.0
NOISE_SHARE = 0.5
"""Share of the fall of scores in noise that is counted on: in some corpora the scores of impostors do not fall."""

_REFERENCE = (1.0, 3.0, QUIET_DB)
_GAUSSIAN = float(np.sqrt(np.pi / 2))  # standard deviation relative to the mean absolute deviation


@dataclass(frozen=True)
class ImpostorScores:
    """Mean and standard deviation of the cosines of impostors: linear functions of the conditions.

    The conditions are 1, log2 of the tested speech in seconds, log2 of the enrolled speech in seconds, and the noise:
    how far the signal-to-noise ratio is below 25 dB, in tens of dB. Beyond the measured range they do not change.

    Attributes:
        mean: coefficients of the mean, shape (4,).
        deviation: coefficients of the standard deviation, shape (4,).
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != 4 or len(self.deviation) != 4:
            raise ValueError("impostors: mean and deviation have four coefficients each")

    def normalized(self, cosine: ArrayLike, test_s: ArrayLike, enrolled_s: ArrayLike, snr_db: ArrayLike) -> Floats:
        """Convert cosines to those of one second of speech without noise against three enrolled seconds.

        An impostor's score is then distributed alike under all conditions.

        Args:
            cosine: similarity of a voice to a prototype.
            test_s: tested speech in seconds.
            enrolled_s: speech of the enrolled voice in seconds.
            snr_db: signal-to-noise ratio of the tested audio in dB; infinite without noise.

        >>> scores = ImpostorScores(mean=(0.1, 0.02, 0, 0), deviation=(0.2, 0.02, 0, 0))
        >>> [round(float(scores.normalized(0.5, test_s, 3, 40)), 3) for test_s in (1, 4)]
        [0.5, 0.4]
        """
        conditions, reference = _conditions(test_s, enrolled_s, snr_db), _conditions(*_REFERENCE)
        ratio = (reference @ self.deviation) / (conditions @ self.deviation)
        return np.asarray(reference @ self.mean + (np.asarray(cosine) - conditions @ self.mean) * ratio)

    @classmethod
    def fit(cls, cosine: ArrayLike, test_s: ArrayLike, enrolled_s: ArrayLike, snr_db: ArrayLike) -> Self:
        """Fit the coefficients to scores of impostors by least squares; all arrays have the shape (n,).

        Audio without noise determines the coefficients of the lengths, and the other audio that of the noise.
        """
        scores, conditions = np.asarray(cosine, np.float64), _conditions(test_s, enrolled_s, snr_db)
        mean = _fitted(conditions, scores)
        deviation = _fitted(conditions, _GAUSSIAN * np.abs(scores - conditions @ mean))
        return cls(tuple(mean.round(4).tolist()), tuple(deviation.round(4).tolist()))

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> Self:
        """Read the entry of a calibration; raises KeyError, TypeError or ValueError where it is damaged."""
        mean, deviation = (tuple(map(float, entry[key])) for key in ("mean", "deviation"))
        return cls(mean, deviation)

    def to_card(self) -> dict[str, list[float]]:
        """Make the entry that `from_card` reads."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}


def _conditions(test_s: ArrayLike, enrolled_s: ArrayLike, snr_db: ArrayLike) -> Floats:
    """The conditions that the coefficients belong to, shape (…, 4)."""
    columns = np.broadcast_arrays(
        1.0,
        np.log2(np.clip(test_s, *TEST_S)),
        np.log2(np.clip(enrolled_s, *ENROLLED_S)),
        (QUIET_DB - np.clip(snr_db, LOUD_DB, QUIET_DB)) / 10,
    )
    return np.stack(columns, axis=-1)


def _fitted(conditions: Floats, values: Floats) -> Floats:
    """Coefficients of values, shape (4,)."""
    quiet = conditions[:, 3] == 0
    lengths = np.linalg.lstsq(conditions[quiet, :3], values[quiet], rcond=None)[0]
    noise = conditions[~quiet, 3]
    rest = values[~quiet] - conditions[~quiet, :3] @ lengths
    fall = NOISE_SHARE * (noise @ rest) / (noise @ noise) if len(noise) else 0.0
    return np.append(lengths, fall)
