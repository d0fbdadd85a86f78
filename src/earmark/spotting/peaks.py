"""Peaks of score curves: one per utterance, and one keyword at a time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Peak:
    """The best window of a keyword in an utterance.

    Attributes:
        keyword: column of the scores.
        start: first frame of the window.
        stop: frame after the window.
        score: of the window.
        speaker_score: similarity of the voice to the keyword's only speaker; None where the keyword has none.
    """

    keyword: int
    start: int
    stop: int
    score: float
    speaker_score: float | None = None

    def covers(self, other: "Peak") -> bool:
        """Whether the two windows share more than half of the shorter one."""
        shared = min(self.stop, other.stop) - max(self.start, other.start)
        return 2 * shared > min(self.stop - self.start, other.stop - other.start)


class PeakPicker:
    """Picks the peaks of score curves, frame by frame; the result does not depend on the chunking.

    A peak opens when a score reaches its threshold, and follows the maximum. It closes when the score falls below the
    threshold or has not risen for `hold` frames. Then the keyword rests for `rest` frames, and opens again only after
    its score was below the threshold.

    Of overlapping peaks of several keywords the best is reported: a closed peak waits while an overlapping one is open.
    A reported peak is final: a better one that opens later is reported too.

    Args:
        thresholds: shape (k,), one for each keyword.
        hold: frames without a rise that close a peak.
        rest: frames in which a keyword does not open again.
        span: frames of the longest window.
        exclusive: False reports overlapping peaks of all keywords.
        admit: called with each closed peak, before it competes with others; returns the peak, perhaps with more
            fields, or None to drop it. By default every peak is admitted.
    """

    def __init__(
        self,
        thresholds: NDArray[np.float32],
        hold: int,
        rest: int,
        span: int,
        *,
        exclusive: bool,
        admit: Callable[[Peak], Peak | None] | None = None,
    ) -> None:
        self._thresholds, self._hold, self._rest, self._span = thresholds, hold, rest, span
        self._exclusive = exclusive
        self._admit = admit
        self._now = 0
        self._open: dict[int, tuple[Peak, int]] = {}  # by keyword: the peak so far, and the frame of its last rise
        self._waiting: list[Peak] = []
        self._reported: list[Peak] = []
        self._ready = np.zeros(len(thresholds), int)  # the first frame in which a keyword may open again
        self._armed = np.ones(len(thresholds), bool)  # whether the score was below the threshold since the last peak

    def push(self, scores: NDArray[np.float32], stops: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[Peak]:
        """Process the scores of the next frames.

        Args:
            scores: shape (n, k).
            stops: shape (n,), the frame after the window of each score.
            lengths: shape (n, k), the length of that window in frames.

        Returns:
            The peaks that are final by now.
        """
        found: list[Peak] = []
        above = scores >= self._thresholds
        active = np.asarray(above.any(axis=1))
        for row in range(len(scores)):
            # Nearly all frames are below all thresholds: they cost one test.
            if active[row] or self._open or self._waiting:
                for keyword in {*map(int, np.flatnonzero(above[row])), *self._open}:
                    length = int(lengths[row, keyword])
                    peak = Peak(keyword, int(stops[row]) - length, int(stops[row]), float(scores[row, keyword]))
                    self._follow(peak, is_above=bool(above[row, keyword]))
                found += self._decide()
            self._armed |= ~above[row]
            self._now += 1
        return found

    def finish(self) -> list[Peak]:
        """Close all open peaks, as if all scores fell now, and return the last peaks."""
        for keyword in list(self._open):
            self._close(keyword)
        return self._decide()

    @property
    def earliest(self) -> int | None:
        """First frame of the open peaks; None when no peak is open."""
        return min((peak.start for peak, _ in self._open.values()), default=None)

    def _follow(self, peak: Peak, *, is_above: bool) -> None:
        keyword = peak.keyword
        if keyword not in self._open:
            if is_above and self._armed[keyword] and self._now >= self._ready[keyword]:
                self._armed[keyword] = False
                self._open[keyword] = peak, self._now
            return
        best, rose_at = self._open[keyword]
        if is_above and peak.score > best.score:
            self._open[keyword] = peak, self._now
        elif not is_above or self._now - rose_at >= self._hold:
            self._close(keyword)

    def _close(self, keyword: int) -> None:
        peak, _ = self._open.pop(keyword)
        admitted = peak if self._admit is None else self._admit(peak)
        # A refused keyword does not rest: its speaker may speak next.
        if admitted is not None:
            self._ready[keyword] = self._now + self._rest
            self._waiting.append(admitted)

    def _decide(self) -> list[Peak]:
        if not self._waiting or (self._exclusive and self._may_be_beaten()):
            return []
        # The window of a long keyword outlasts its rest.
        self._reported = [peak for peak in self._reported if peak.stop > self._now - 2 * self._span]
        found = []
        for peak in sorted(self._waiting, key=lambda peak: -peak.score):
            if not any(self._beats(earlier, peak) for earlier in self._reported):
                self._reported.append(peak)
                found.append(peak)
        self._waiting = []
        return sorted(found, key=lambda peak: peak.stop)

    def _may_be_beaten(self) -> bool:
        rivals: Iterable[Peak] = [peak for peak, _ in self._open.values()]
        return any(rival.covers(peak) for peak in self._waiting for rival in rivals)

    def _beats(self, earlier: Peak, peak: Peak) -> bool:
        is_rival = earlier.keyword == peak.keyword or (self._exclusive and earlier.score >= peak.score)
        return is_rival and earlier.covers(peak)
