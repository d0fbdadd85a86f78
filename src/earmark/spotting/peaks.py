"""From curves of scores to events: one peak an utterance, and one keyword a sound."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Peak:
    """Where a keyword (a column of the scores) fits best: the window of frames from `start` to before `stop`."""

    keyword: int
    start: int
    stop: int
    score: float
    speaker_score: float | None = None
    """How alike the voice is to the one that the keyword answers to; None where it answers to any."""

    def covers(self, other: "Peak") -> bool:
        """Whether the two windows share more than half of the shorter one."""
        shared = min(self.stop, other.stop) - max(self.start, other.start)
        return 2 * shared > min(self.stop - self.start, other.stop - other.start)


class PeakPicker:
    """Watches scores frame by frame and reports a peak once it is over; the answer does not depend on the chunking.

    A peak opens when a score reaches its threshold, rises with it, and is over when the score is below the threshold
    again or has not risen for `hold` frames. Then the keyword rests. A keyword opens again only after its score was
    below the threshold in between.

    Of peaks of several keywords on the same sound the best is reported: a peak that is over waits while another on its
    sound is open. What has been reported cannot be taken back: a better one that begins only afterward is reported as
    well.

    Args:
        thresholds: shape (k,), one for each keyword.
        hold: frames.
        rest: frames.
        span: frames of the longest window.
        exclusive: False reports every keyword, also on the same sound.
        admit: is shown each peak when it is over, in time for no other to give way to it; returns it, perhaps with
            something added, or None to have it forgotten. By default every peak is admitted.
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
        self._open: dict[int, tuple[Peak, int]] = {}  # by keyword: the peak so far, and the frame in which it last rose
        self._waiting: list[Peak] = []
        self._reported: list[Peak] = []
        self._ready = np.zeros(len(thresholds), int)  # the frame from which on a keyword may open again
        self._armed = np.ones(len(thresholds), bool)  # whether it was below its threshold since it last opened

    def push(self, scores: NDArray[np.float32], stops: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[Peak]:
        """Watch some frames more.

        Args:
            scores: shape (n, k).
            stops: shape (n,), the frame before which each score's window ends.
            lengths: shape (n, k), how many frames that window has.

        Returns:
            The peaks that are decided by now.
        """
        found: list[Peak] = []
        above = scores >= self._thresholds
        active = np.asarray(above.any(axis=1))
        for row in range(len(scores)):
            # Nearly every frame of a day is quiet: it costs one look.
            if active[row] or self._open or self._waiting:
                for keyword in {*map(int, np.flatnonzero(above[row])), *self._open}:
                    length = int(lengths[row, keyword])
                    peak = Peak(keyword, int(stops[row]) - length, int(stops[row]), float(scores[row, keyword]))
                    self._watch(peak, is_above=bool(above[row, keyword]))
                found += self._decide()
            self._armed |= ~above[row]
            self._now += 1
        return found

    def finish(self) -> list[Peak]:
        """Decide what is still open, as if all scores fell now."""
        for keyword in list(self._open):
            self._close(keyword)
        return self._decide()

    @property
    def earliest(self) -> int | None:
        """The frame in which the earliest peak begins that is still open; None when none is."""
        return min((peak.start for peak, _ in self._open.values()), default=None)

    def _watch(self, peak: Peak, *, is_above: bool) -> None:
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
        # A keyword that was refused need not rest: whom it answers to may speak next.
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
