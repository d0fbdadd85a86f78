"""A keyword: a word to look for, with its takes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.names import clean_name
from earmark.spotting.takes import Take


@dataclass(frozen=True, eq=False)
class Keyword:
    """A word to look for, as an encoder hears it.

    Attributes:
        name: as `clean_name` returns it; it is cleaned here.
        takes: the recordings, kept so that another encoder can embed them.
        embeddings: shape (k, d), float32, rows of unit length.
        duration_s: how long the word lasts, in seconds.
        threshold: the score from which on it counts as heard.
        encoder: fingerprint of the encoder that made the embeddings.
        created: when, ISO 8601 in UTC.
        only_speaker: name of the speaker whose voice alone it answers to; None for anybody's.
        false_alarms_per_hour: what the threshold was chosen for; None where that is not known.
    """

    name: str
    takes: tuple[Take, ...]
    embeddings: NDArray[np.float32]
    duration_s: float
    threshold: float
    encoder: str
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    only_speaker: str | None = None
    false_alarms_per_hour: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_name(self.name))
        if self.only_speaker is not None:
            object.__setattr__(self, "only_speaker", clean_name(self.only_speaker, of="speaker"))
        if self.embeddings.ndim != 2 or not self.embeddings.size or not np.isfinite(self.embeddings).all():
            shape = self.embeddings.shape
            raise InputError(f"keyword '{self.name}': embeddings must be finite, shape (k, d), not {shape}")

    @property
    def prototype(self) -> NDArray[np.float32]:
        """The mean of the embeddings, made unit length; shape (d,)."""
        return unit_mean(self.embeddings)


def unit_mean(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of unit vectors, shape (k, d), made unit length; shape (d,)."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
