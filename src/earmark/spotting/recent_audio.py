"""The latest audio of a stream, for what examines a peak of the scores: the verifier and the speaker gate."""

import numpy as np

from earmark.core.audio import SAMPLE_RATE, Wave

MARGIN_S = 0.3
"""Audio that is kept on each side of a peak, in seconds."""


class RecentAudio:
    """Keeps the latest audio of a stream.

    Args:
        lag_s: audio after a peak that is always known when the peak closes, in seconds.
    """

    def __init__(self, lag_s: float) -> None:
        # No more audio after a peak than is always known: the result must not depend on the chunking.
        self._after_s = min(MARGIN_S, lag_s)
        self._wave: Wave = np.zeros(0, np.float32)
        self._first = 0  # sample of the stream at which the kept audio begins

    @property
    def kept_s(self) -> float:
        """Length of the kept audio in seconds."""
        return len(self._wave) / SAMPLE_RATE

    def push(self, chunk: Wave) -> None:
        """Keep the next audio, shape (n,)."""
        self._wave = np.concatenate([self._wave, chunk])

    def drop(self, before: int) -> None:
        """Drop audio that no peak needs that begins at this sample or later."""
        gone = max(0, before - round(MARGIN_S * SAMPLE_RATE)) - self._first
        if gone > 0:
            self._wave = self._wave[gone:].copy()  # a view would hold the whole chunk
            self._first += gone

    def around(self, start: int, stop: int) -> tuple[Wave, float]:
        """The audio of a peak with the margins.

        Args:
            start: of the peak, in samples of the stream.
            stop: its end.

        Returns:
            The wave, and the time in it at which the peak starts, in seconds; a peak that starts before the stream
            starts at 0.
        """
        start = max(0, start)
        first = max(0, start - round(MARGIN_S * SAMPLE_RATE))
        wave = self._wave[first - self._first : stop + round(self._after_s * SAMPLE_RATE) - self._first]
        return wave, (start - first) / SAMPLE_RATE
