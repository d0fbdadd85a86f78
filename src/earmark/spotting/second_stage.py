"""The second stage: the verifier scores a candidate of the first stage again, and both scores become one.

The verifier is too slow for a stream, so it embeds only the audio of candidates: peaks of the first stage above a score
that background reaches about 40 times an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import warn_user
from earmark.spotting.peaks import Peak
from earmark.spotting.recent_audio import RecentAudio
from earmark.spotting.verifier_scores import joint_score, similarity

if TYPE_CHECKING:
    from earmark.models.verifier import Verifier
    from earmark.spotting.keyword import Keyword

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

CANDIDATES_PER_HOUR = 40.0
"""Rate at which background passes the first stage as candidates of a keyword."""

SLOWEST_S = 0.15
"""Processor time of a candidate, in seconds, above which the verifier is switched off."""

_TIMED = 3  # candidates; the first one of a session takes longer than the others


class SecondStage:
    """Verifies the candidates of a detector's keywords.

    On a processor that needs more than 0.15 s for a candidate, it switches itself off, with a warning: the scores of
    the first stage count from then on.

    Args:
        keywords: of the detector; those without embeddings of the verifier, or without a scale, are not verified.
        thresholds: of the detector, shape (n_keywords,).
        verifier: scores the candidates.
        clock: processor time in seconds.

    Attributes:
        levels: scores of the first stage from which peaks are candidates; the thresholds of keywords that are not
            verified, shape (n_keywords,).
    """

    def __init__(
        self,
        keywords: Sequence[Keyword],
        thresholds: Floats,
        verifier: Verifier,
        *,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._verifier, self._clock = verifier, clock
        self._verified = {
            number: (keyword.verifier, keyword.duration_s, keyword.calibration.verifier)
            for number, keyword in enumerate(keywords)
            if keyword.verifier is not None
            and keyword.verifier.fingerprint == verifier.fingerprint
            and keyword.calibration.verifier is not None
        }
        self._times_s: list[float] = []
        self._is_on = True
        self.levels = thresholds.copy()
        for number, (_, _, scale) in self._verified.items():
            self.levels[number] = scale.candidate

    def verify(self, peak: Peak, recent: RecentAudio) -> Peak:
        """The peak with the score of both stages; a peak of a keyword that is not verified stays as it is."""
        if peak.keyword not in self._verified or not self._is_on:
            return peak
        embedded, duration_s, scale = self._verified[peak.keyword]
        began = self._clock()
        wave, start_s = recent.around(peak.start, peak.stop)
        end_s = start_s + (peak.stop - max(0, peak.start)) / SAMPLE_RATE
        second = similarity(embedded, duration_s, self._verifier, wave, start_s, end_s)
        self._time(self._clock() - began)
        return replace(peak, score=scale.score(joint_score(peak.score, second)), verifier_score=second)

    def _time(self, spent_s: float) -> None:
        """Switch off where the first candidates took too long."""
        if len(self._times_s) == _TIMED:
            return
        self._times_s.append(spent_s)
        if len(self._times_s) == _TIMED and min(self._times_s) > SLOWEST_S:
            self._is_on = False
            warn_user(
                f"the verifier is switched off: it needs {min(self._times_s):.2f} s of this processor for a candidate; "
                "more words will be missed; silence this warning with --no-verify or DetectorSettings(verify=False)",
                UserWarning,
            )
