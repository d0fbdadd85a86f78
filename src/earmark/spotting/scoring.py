"""Scores of keywords: the similarity of the best window that ends at a frame, by its parts, smoothed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.progress import Progress, follow, no_progress
from earmark.spotting.keyword import Keyword
from earmark.spotting.negative import discounted
from earmark.spotting.parts import SHORTEST, PartRules, part_borders

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.spotting.detector_settings import DetectorSettings

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Windows:
    """Window lengths of the keywords, and their scores.

    Args:
        keywords: their prototypes, negatives and lengths.
        encoder: compares windows of frames.
        tempos: window lengths relative to the length of the keyword.

    Attributes:
        count: number of keywords.
        longest: the longest window, in frames.
    """

    def __init__(self, keywords: Sequence[Keyword], encoder: Encoder, tempos: Sequence[float]) -> None:
        self._encoder = encoder
        self.count = len(keywords)
        # A negative is compared with the same windows as its keyword, in a column after those of the keywords.
        negatives = [(place, parts) for place, keyword in enumerate(keywords) for parts in _negatives(keyword)]
        self._owners: Ints = np.array([place for place, _ in negatives], np.int64)
        columns = [*keywords, *(keywords[place] for place, _ in negatives)]
        durations_s = [keyword.duration_s for keyword in columns]
        self._rules = PartRules.of(durations_s, [keyword.take_weight for keyword in columns])
        # Shape (7, d, columns): each part of a window is compared with the same part of its keyword or negative.
        references = [*(keyword.part_prototypes for keyword in keywords), *(parts for _, parts in negatives)]
        self._references = np.stack(references, axis=-1).astype(np.float64)
        lengths = np.round(np.multiply.outer(tempos, np.array(durations_s) / encoder.hop_s)).astype(np.int64)
        self._lengths: Ints = np.maximum(SHORTEST, lengths)  # shape (tempos, columns)
        self.longest = int(self._lengths.max())
        first, last = part_borders(self._lengths)
        # Borders of the parts relative to the end of their window, shape (7, tempos, 1, columns).
        self._starts = (first - self._lengths)[:, :, None]
        self._stops = (last - self._lengths)[:, :, None]

    def score(self, frames: Floats, past: int, first: int) -> tuple[Floats, Ints]:
        """Score the windows that end with each frame.

        Args:
            frames: shape (past + n, width); the first one is frame `first` of the stream.
            past: number of frames that only complete the windows.
            first: see frames.

        Returns:
            Score of each keyword's best window, and the length of that window in frames; both of shape (n, n_keywords).
        """
        ends = np.arange(past + 1, len(frames) + 1)[:, None]
        similarity = self._encoder.compare_windows(
            frames, self._flat(ends + self._starts), self._flat(ends + self._stops), self._references
        )
        every = self._rules.combine(similarity).reshape(len(self._lengths), len(ends), -1)
        score = discounted(every[..., : self.count], every[..., self.count :], self._owners)
        # A window starts to count when the stream covers half of it: one or two frames resemble anything.
        lengths = self._lengths[:, : self.count]
        score[2 * (first + ends) < lengths[:, None]] = 0
        best = score.argmax(axis=0)
        return score.max(axis=0), np.take_along_axis(lengths, best, axis=0)

    def _flat(self, borders: Ints) -> Ints:
        return borders.reshape(len(borders), -1, borders.shape[-1])


def _negatives(keyword: Keyword) -> Sequence[Floats]:
    """The embeddings of each negative of a keyword, shape (7, d) each."""
    return () if keyword.negative_parts is None else list(keyword.negative_parts)


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
        self._scores = np.zeros((smoothing - 1, windows.count), np.float32)
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


_PIECE = 4096  # frames between two calls of the progress
_BLOCK = 128  # frames to score at a time: fastest of 32 … 512
LATE_S = 0.25
"""The score of a word peaks at its end, this much later at most, in seconds."""


def score_frames(
    keyword: Keyword,
    encoder: Encoder,
    frames: NDArray[np.floating],
    settings: DetectorSettings,
    *,
    stage: str = "scoring",
    progress: Progress = no_progress,
) -> Floats:
    """Smoothed scores of one keyword over the frames of a recording, shape (t, width); returns shape (t,)."""
    return score_windows(keyword, encoder, frames, settings, stage=stage, progress=progress)[0]


def score_windows(
    keyword: Keyword,
    encoder: Encoder,
    frames: NDArray[np.floating],
    settings: DetectorSettings,
    *,
    stage: str = "scoring",
    progress: Progress = no_progress,
) -> tuple[Floats, Ints, Ints]:
    """As `score_frames`, with the windows: the frame before which each one ends, and its length, shape (t,) each."""
    scorer = StreamScorer(
        Windows([keyword], encoder, settings.tempos),
        max(1, round(settings.smoothing_s / encoder.hop_s)),
        block=_BLOCK,
    )
    pieces = [
        (scores[:, 0], stops, lengths[:, 0])
        for start in follow(range(0, len(frames), _PIECE), stage, progress)
        for scores, stops, lengths in scorer.push(np.asarray(frames[start : start + _PIECE], np.float32))
    ]
    scores, stops, lengths = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return scores, stops, lengths


def word_score(curve: Floats, start_s: float, end_s: float, hop_s: float) -> float:
    """The highest score of a curve that belongs to a word, from its middle on.

    Args:
        curve: from `score_frames`.
        start_s: start of the word in seconds.
        end_s: its end.
        hop_s: time between frames, in seconds.
    """
    first = int((start_s + end_s) / 2 / hop_s)
    last = math.ceil((end_s + LATE_S) / hop_s)
    return float(curve[first : last + 1].max(initial=-1.0))
