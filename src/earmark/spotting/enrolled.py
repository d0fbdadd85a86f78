"""An enrolled thing: what a keyword and a speaker have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.names import clean_name
from earmark.core.vectors import unit_mean
from earmark.spotting.takes import Take

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder

Thing = TypeVar("Thing", bound="Enrolled")


def now() -> str:
    """The time now, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class EncoderMismatch(InputError):
    """A keyword or speaker was enrolled with another encoder.

    Attributes:
        noun: keyword or speaker.
    """

    def __init__(self, problem: str, noun: str) -> None:
        super().__init__(problem)
        self.noun = noun


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Enrolled:
    """A word or a voice, enrolled from takes.

    Attributes:
        name: as `clean_name` returns it; cleaned here.
        takes: the recordings, kept so that another encoder can embed them.
        embeddings: shape (k, d), float32, rows of unit length.
        threshold: the lowest score that counts.
        encoder: fingerprint of the encoder that made the embeddings.
        rate: rate for which the threshold was chosen: false alarms per hour of a keyword, share of impostors that a
            speaker's threshold accepts; None where it is unknown.
        created: time of enrollment, ISO 8601 in UTC.
    """

    noun: ClassVar[str] = "keyword"

    name: str
    takes: tuple[Take, ...]
    embeddings: NDArray[np.float32]
    threshold: float
    encoder: str
    rate: float | None = None
    created: str = field(default_factory=now)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_name(self.name, of=self.noun))
        if self.embeddings.ndim != 2 or self._is_empty or not np.isfinite(self.embeddings).all():
            shape = self.embeddings.shape
            raise InputError(f"{self.noun} '{self.name}': embeddings must be finite, shape (k, d), not {shape}")

    @property
    def _is_empty(self) -> bool:
        return not self.embeddings.size

    @property
    def prototype(self) -> NDArray[np.float32]:
        """The mean of the embeddings, scaled to unit length; shape (d,)."""
        return unit_mean(self.embeddings)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.name!r}, {len(self.takes)} take{'s' * (len(self.takes) != 1)}, "
            f"threshold={self.threshold:.3f}, encoder={self.encoder!r})"
        )


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and the rate for which it was chosen; None where that is unknown."""

    threshold: float
    rate: float | None


def operating_point(
    encoder: Encoder | SpeakerEncoder, rate: float | None, default: float, known: Enrolled | None = None
) -> OperatingPoint:
    """Choose a threshold: for `rate`, else the known one, else for the known rate, else for the default rate.

    Args:
        encoder: its calibration maps rates to thresholds.
        rate: what the caller asks for; None keeps what is known.
        default: the rate where none is known.
        known: the keyword or speaker so far; its threshold is kept only where this encoder made it.

    Raises:
        InputError: the encoder is not calibrated, or not for this rate.
    """
    if rate is None and known is not None:
        if known.encoder == encoder.fingerprint:
            return OperatingPoint(known.threshold, known.rate)
        rate = known.rate
    chosen = default if rate is None else rate
    return OperatingPoint(encoder.calibration.threshold(chosen), chosen)


def with_embeddings(
    known: Thing, embeddings: NDArray[np.float32], encoder: Encoder | SpeakerEncoder, point: OperatingPoint
) -> Thing:
    """The same keyword or speaker with embeddings of another encoder, shape (k, d)."""
    return replace(
        known, embeddings=embeddings, threshold=point.threshold, encoder=encoder.fingerprint, rate=point.rate
    )


def check_encoder(enrolled: Enrolled, encoder: Encoder | SpeakerEncoder) -> None:
    """Refuse a keyword or speaker of another encoder.

    Raises:
        EncoderMismatch: another encoder made its embeddings.
    """
    if enrolled.encoder != encoder.fingerprint:
        raise EncoderMismatch(
            f"{enrolled.noun} {enrolled.name!r} was enrolled with encoder {enrolled.encoder[:12]}, not with "
            f"{encoder.name!r} ({encoder.fingerprint[:12]}); convert it: earmark {enrolled.noun}s reembed",
            enrolled.noun,
        )
