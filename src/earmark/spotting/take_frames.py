"""Frames of a take, with audio before and after the word as in a stream, to score it as the detector would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE
from earmark.spotting.keyword import Keyword
from earmark.spotting.scoring import score_frames, word_score
from earmark.spotting.takes import Take

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.spotting.detector_settings import DetectorSettings

BEFORE_S, AFTER_S = 1.0, 0.5
_NOISE = 1e-4


@dataclass(frozen=True, eq=False)
class TakeFrames:
    """Frames of a take.

    Attributes:
        frames: shape (t, width).
        start_s: start of the word, in seconds from the first frame.
        end_s: its end.
    """

    frames: NDArray[np.float32]
    start_s: float
    end_s: float

    def score(self, keyword: Keyword, encoder: Encoder, settings: DetectorSettings) -> float:
        """The score of a keyword in the take; the encoder is that of the keyword and of the frames."""
        curve = score_frames(keyword, encoder, self.frames, settings)
        return word_score(curve, self.start_s, self.end_s, encoder.hop_s)


def take_frames(take: Take, encoder: Encoder) -> TakeFrames:
    """Compute the frames of a take; faint noise stands in for audio that it lacks around the word."""
    before, after = round(BEFORE_S * SAMPLE_RATE), round(AFTER_S * SAMPLE_RATE)
    wave = np.pad(take.wave, (before, after)) + _NOISE * np.random.default_rng(0).standard_normal(
        before + len(take.wave) + after
    )
    # One second before the word, which is a second later in the padded wave.
    start = round(take.start_s * SAMPLE_RATE)
    stop = round(take.end_s * SAMPLE_RATE) + before + after
    frames = encoder.frames(wave[start:stop].astype(np.float32))
    return TakeFrames(frames, BEFORE_S, BEFORE_S + take.end_s - take.start_s)
