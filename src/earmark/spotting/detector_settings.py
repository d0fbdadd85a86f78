"""Settings of the detector, which also measure thresholds."""

from typing import Annotated

from pydantic import Field

from earmark.core.config import Settings

REST = 0.75
"""Shortest rest of a keyword, relative to its length: a window that contains half of a word may score high too."""


class DetectorSettings(Settings):
    """Detector settings. Times in seconds."""

    tempos: tuple[Annotated[float, Field(gt=0.2, lt=5)], ...] = Field(
        default=(0.7, 0.85, 1.0, 1.2, 1.4),
        min_length=1,
        description="Window lengths, relative to the length of the keyword.",
    )
    smoothing_s: float = Field(default=0.12, ge=0, le=1, description="A score is the mean over this time.")
    rise_per_s: float = Field(
        default=0.15,
        ge=-50,
        le=50,
        description="A keyword is detected once its score rises by less than this per second, or falls.",
    )
    hold_s: float = Field(
        default=0.3,
        ge=0,
        le=2,
        description="Longest time that a detection waits for a higher score; the usual one where a longer keyword "
        "contains the word.",
    )
    refractory_s: float = Field(
        default=0.5,
        ge=0,
        le=60,
        description="Time after a score in which the keyword is detected only by a higher one; "
        f"at least {REST:.0%} of the length of the keyword.",
    )
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="Threshold of all keywords, instead of their own."
    )
    exclusive: bool = Field(
        default=True,
        description="Of several keywords in the same audio, report only the one that exceeds its threshold most.",
    )
    verify: bool = Field(
        default=True, description="Score candidates a second time with the verifier, where it is installed."
    )
