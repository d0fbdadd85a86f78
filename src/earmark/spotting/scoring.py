"""Scores of keywords: the best cosine of each prototype with the windows that end at a frame, smoothed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.spotting.keyword import Keyword

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Windows:
    """Window lengths of the keywords, and their scores.

    Args:
        keywords: their prototypes and lengths.
        encoder: embeds windows of frames.
        tempos: window lengths relative to the length of the keyword.

    Attributes:
        longest: the longest window, in frames.
    """

    def __init__(self, keywords: Sequence[Keyword], encoder: Encoder, tempos: Sequence[float]) -> None:
        self._encoder = encoder
        self.prototypes: Floats = np.stack([keyword.prototype for keyword in keywords])
        hop_s = encoder.hop_s
        wanted = [{max(1, round(tempo * keyword.duration_s / hop_s)) for tempo in tempos} for keyword in keywords]
        # Keywords share the embeddings of one length.
        self.lengths: Ints = np.array(sorted(set().union(*wanted)))
        self.longest = int(self.lengths[-1])
        self._unwanted = np.array([[length not in own for own in wanted] for length in self.lengths.tolist()])

    def score(self, frames: Floats, past: int, first: int) -> tuple[Floats, Ints]:
        """Score the windows that end with each frame.

        Args:
            frames: shape (past + n, width); the first one is frame `first` of the stream.
            past: number of frames that only complete the windows.
            first: see frames.

        Returns:
            Score of each keyword's best window, and the length of that window in frames; both of shape (n, n_keywords).
        """
        stops = np.arange(past + 1, len(frames) + 1)
        # All lengths in one call: a live chunk is one or two frames, and a call costs more than its arithmetic.
        every = self._encoder.embed_windows(frames, np.tile(stops, len(self.lengths)), self.lengths.repeat(len(stops)))
        similarity = (every @ self.prototypes.T).reshape(len(self.lengths), len(stops), -1)
        # A window starts to count when the stream covers half of it: one or two frames resemble anything.
        similarity[2 * (first + stops) < self.lengths[:, None]] = 0
        similarity[np.broadcast_to(self._unwanted[:, None], similarity.shape)] = -2
        return similarity.max(axis=0), self.lengths[similarity.argmax(axis=0)]


class StreamScorer:
    """Smoothed scores of one stream; keeps the frames of the longest window and the scores of the smoothing.

    Args:
        windows: of the keywords.
        smoothing: frames over which scores are averaged.
        block: frames to score at a time, so that memory does not grow with the length of the audio.

    Attributes:
        count: number of frames so far.
    """

    def __init__(self, windows: Windows, smoothing: int, *, block: int = 256) -> None:
        self.count = 0
        self._windows, self._smoothing, self._block = windows, smoothing, block
        self._frames: Floats | None = None
        self._scores = np.zeros((smoothing - 1, len(windows.prototypes)), np.float32)
        self._lengths = np.ones(self._scores.shape, np.int64)

    def push(self, frames: Floats) -> Iterator[tuple[Floats, Ints, Ints]]:
        """Score the next frames, shape (n, width).

        Yields:
            Smoothed scores, shape (m, n_keywords); the frame before which their windows end, shape (m,); the lengths of
            the windows, shape (m, n_keywords). Smoothing delays a peak by half its length: the window is the one in
            the middle.
        """
        middle = (self._smoothing - 1) // 2
        for start in range(0, len(frames), self._block):
            block = frames[start : start + self._block]
            known = block[:0] if self._frames is None else self._frames
            joined = np.concatenate([known, block])
            raw, lengths = self._windows.score(joined, len(known), self.count - len(known))
            self._frames = joined[max(0, len(joined) - self._windows.longest + 1) :]
            scores = np.concatenate([self._scores, raw])
            lengths = np.concatenate([self._lengths, lengths])
            # A sum of shifted copies: each score is the same sum for every chunking of the stream.
            smooth = sum(scores[shift : shift + len(block)] for shift in range(self._smoothing)) / self._smoothing
            stops = self.count + 1 + np.arange(len(block)) - middle
            first = self._smoothing - 1 - middle
            yield np.asarray(smooth, np.float32), stops, lengths[first : first + len(block)]
            kept = len(scores) - self._smoothing + 1
            self._scores, self._lengths = scores[kept:], lengths[kept:]
            self.count += len(block)
