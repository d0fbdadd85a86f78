"""Peaks of score curves: one per utterance, and one keyword at a time."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -3.0
"""Score of a keyword at a time for which its encoder has none, below every threshold."""


@dataclass(frozen=True)
class Peak:
    """The best window of a keyword in an utterance.

    Attributes:
        keyword: column of the scores.
        start: start of the window, in samples.
        stop: its end.
        score: of the window; of a verified peak the one of both stages.
        verifier_score: similarity of the verifier; None where the peak was not verified.
        speaker_score: similarity of the voice to the keyword's only speaker; None where the keyword has none.
    """

    keyword: int
    start: int
    stop: int
    score: float
    verifier_score: float | None = None
    speaker_score: float | None = None

    def covers(self, other: "Peak") -> bool:
        """Whether the two windows share more than half of the shorter one."""
        shared = min(self.stop, other.stop) - max(self.start, other.start)
        return 2 * shared > min(self.stop - self.start, other.stop - other.start)


class PeakPicker:
    """Picks the peaks of score curves, row by row; the result does not depend on the chunking.

    A score is a peak if all scores of the keyword in the time `rests` before it are lower, and none is higher before
    the peak closes: at the first score that is less than `rises` above the one before it, or the time `hold` after the
    peak. This does not depend on the thresholds: a lower one finds the same peaks and more.

    Where a level is below the threshold of its keyword, peaks above it are candidates: `admit` gives them another
    score, and those that stay below the threshold are dropped when they close. A candidate below the threshold closes
    the time `hold` after it only.

    A closed peak is reported unless a reported peak of the same keyword covers it. If `exclusive`, a reported peak of
    another keyword drops it too, where it covers it and has at least the same margin: the score minus the threshold of
    its keyword. So a closed peak waits, at most for `span`, while an open peak of another keyword, or a waiting one
    with a larger margin, covers it. A reported peak is final: one of another keyword with a larger margin that opens
    later is reported too.

    Args:
        thresholds: shape (k,), one for each keyword.
        hold: time without a higher score that closes a peak, in samples.
        rests: for each keyword, time after a score in which no lower or equal one is a peak; at least `hold`.
        span: length of the longest window.
        rises: for each keyword, the least rise from one score to the next that keeps a peak open; minus infinity leaves
            it to `hold`, the default.
        exclusive: False reports the peaks of each keyword as if it were alone.
        levels: scores from which peaks are followed, shape (k,); the thresholds by default.
        admit: called with each closed peak, before it competes with others; returns the peak, perhaps with more
            fields, or None to drop it. By default every peak is admitted.
    """

    def __init__(
        self,
        thresholds: NDArray[np.float32],
        hold: int,
        rests: Sequence[int],
        span: int,
        *,
        exclusive: bool,
        rises: Sequence[float] | None = None,
        levels: NDArray[np.float32] | None = None,
        admit: Callable[[Peak], Peak | None] | None = None,
    ) -> None:
        self._thresholds, self._hold, self._span = thresholds, hold, span
        self._levels = thresholds if levels is None else levels
        self._rests = [max(rest, hold, 1) for rest in rests]
        self._rises = [-math.inf] * len(thresholds) if rises is None else list(rises)
        self._latest = np.full(len(thresholds), UNKNOWN, np.float32)
        self._exclusive = exclusive
        self._admit = admit
        self._stop = 0  # of the latest window
        # By keyword: those of the latest scores at or above the level that no later score exceeded. Scores below the
        # level cannot exceed a peak.
        self._recent: list[deque[Peak]] = [deque() for _ in thresholds]
        self._open: dict[int, Peak] = {}
        self._waiting: list[Peak] = []
        self._reported: list[Peak] = []

    def push(self, scores: NDArray[np.float32], stops: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[Peak]:
        """Process the next scores.

        Args:
            scores: shape (n, k).
            stops: shape (n,), the end of the window of each score, in samples; ascending.
            lengths: shape (n, k), the length of that window.

        Returns:
            The peaks that are final by now.
        """
        if not len(scores):
            return []
        above, before = scores >= self._levels, self._scores_before(scores)
        # Nearly all frames are below all levels: they cost one test.
        if not (self._open or self._waiting or above.any()):
            return []
        found: list[Peak] = []
        for row, active in enumerate(np.asarray(above.any(axis=1))):
            if not (active or self._open or self._waiting):
                continue
            self._stop = int(stops[row])
            for keyword in np.flatnonzero(above[row]).tolist() if active else ():
                start = self._stop - int(lengths[row, keyword])
                self._follow(Peak(keyword, start, self._stop, float(scores[row, keyword])))
            for peak in [peak for peak in self._open.values() if self._is_over(peak, scores[row], before[row])]:
                self._close(peak)
            found += self._decide()
        return found

    def finish(self) -> list[Peak]:
        """Close all open peaks, as if all scores fell now, and return the last peaks."""
        for peak in list(self._open.values()):
            self._close(peak)
        return self._decide()

    @property
    def earliest(self) -> int | None:
        """Start of the first open peak; None when no peak is open."""
        return min((peak.start for peak in self._open.values()), default=None)

    def _scores_before(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """The score of each keyword before each row, shape (n, k)."""
        known = np.concatenate([self._latest[None], scores])
        if known.min() == UNKNOWN:
            rows = np.where(known == UNKNOWN, 0, np.arange(len(known))[:, None])
            known = np.take_along_axis(known, np.maximum.accumulate(rows, axis=0), axis=0)
        self._latest = known[-1]
        return known[:-1]

    def _is_over(self, peak: Peak, scores: NDArray[np.float32], before: NDArray[np.float32]) -> bool:
        if self._stop - peak.stop >= self._hold:
            return True
        score = float(scores[peak.keyword])
        # A candidate below the threshold is not sure of its word yet, and admitting it is slow.
        return (
            self._margin(peak) >= 0
            and score != UNKNOWN
            and score - float(before[peak.keyword]) < self._rises[peak.keyword]
        )

    def _follow(self, peak: Peak) -> None:
        recent = self._recent[peak.keyword]
        while recent and recent[0].stop < peak.stop - self._rests[peak.keyword]:
            recent.popleft()
        while recent and recent[-1].score < peak.score:
            recent.pop()
        if not recent:
            self._open[peak.keyword] = peak
        recent.append(peak)

    def _close(self, peak: Peak) -> None:
        del self._open[peak.keyword]
        if any(earlier.keyword == peak.keyword and earlier.covers(peak) for earlier in self._reported):
            return
        admitted = peak if self._admit is None else self._admit(peak)
        if admitted is not None:
            if self._margin(admitted) >= 0:
                self._waiting.append(admitted)
        else:
            # A refused keyword does not rest: its speaker may speak next. The latest score stays, so that the falling
            # scores at the end of the refused word are not peaks.
            recent = self._recent[peak.keyword]
            while recent and recent[0].stop < self._stop:
                recent.popleft()

    def _decide(self) -> list[Peak]:
        if not self._waiting:
            return []
        # No waiting or later peak begins before the peaks that are forgotten here end.
        self._reported = [peak for peak in self._reported if peak.stop > self._stop - self._hold - 2 * self._span]
        found: list[Peak] = []
        waiting: list[Peak] = []
        for peak in sorted(self._waiting, key=lambda peak: (-self._margin(peak), peak.keyword)):
            if any(self._beats(earlier, peak) for earlier in self._reported):
                continue
            rivals = [rival for rival in self._open.values() if rival.keyword != peak.keyword]
            may_wait = self._exclusive and self._stop < peak.stop + self._hold + self._span
            if may_wait and any(rival.covers(peak) for rival in (*waiting, *rivals)):
                waiting.append(peak)
            else:
                self._reported.append(peak)
                found.append(peak)
        self._waiting = waiting
        return sorted(found, key=lambda peak: peak.stop)

    def _margin(self, peak: Peak) -> float:
        return peak.score - float(self._thresholds[peak.keyword])

    def _beats(self, earlier: Peak, peak: Peak) -> bool:
        is_rival = self._exclusive and self._margin(earlier) >= self._margin(peak)
        return (earlier.keyword == peak.keyword or is_rival) and earlier.covers(peak)
