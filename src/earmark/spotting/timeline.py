"""Scores of several encoders on one axis of time, in samples: each encoder has its own hop and look-ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.spotting.keyword import Keyword
from earmark.spotting.peaks import UNKNOWN
from earmark.spotting.scoring import StreamScorer, Windows

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EncoderGroup:
    """The keywords of one encoder.

    Attributes:
        encoder: scores them.
        columns: their places among all keywords.
        windows: their windows.
        hop: samples between frames.
        smoothing: frames over which scores are averaged.
    """

    encoder: Encoder
    columns: tuple[int, ...]
    windows: Windows
    hop: int
    smoothing: int

    @property
    def longest(self) -> int:
        """Samples of the longest window."""
        return self.windows.longest * self.hop

    @property
    def reach(self) -> int:
        """Samples before the end of a row at which its windows may begin: smoothing mixes rows."""
        return self.longest + self.smoothing * self.hop

    def samples(self, seconds: float) -> int:
        """A time in samples, rounded to whole frames."""
        return round(seconds / self.encoder.hop_s) * self.hop


def encoder_groups(
    keywords: Sequence[Keyword], encoders: Sequence[Encoder], tempos: Sequence[float], smoothing_s: float
) -> list[EncoderGroup]:
    """Group keywords by their encoders; an encoder without keywords has no group.

    Args:
        keywords: each of them is of one of the encoders.
        encoders: with different fingerprints.
        tempos: window lengths relative to the length of the keyword.
        smoothing_s: time over which scores are averaged.
    """
    groups = []
    for encoder in encoders:
        columns = tuple(place for place, one in enumerate(keywords) if one.encoder == encoder.fingerprint)
        if not columns:
            continue
        groups.append(
            EncoderGroup(
                encoder=encoder,
                columns=columns,
                windows=Windows([keywords[place] for place in columns], encoder, tempos),
                hop=round(encoder.hop_s * SAMPLE_RATE),
                smoothing=max(1, round(smoothing_s / encoder.hop_s)),
            )
        )
    return groups


@dataclass(frozen=True, eq=False)
class Rows:
    """Smoothed scores of all keywords at some times; the arrays are those of `PeakPicker.push`.

    Attributes:
        scores: shape (n, k); `UNKNOWN` for the keywords of other encoders.
        stops: ends of the windows in samples, ascending, shape (n,).
        lengths: of the windows in samples, shape (n, k).
    """

    scores: Floats
    stops: Ints
    lengths: Ints

    def __len__(self) -> int:
        return len(self.stops)

    def first(self, count: int) -> Rows:
        """The first rows."""
        return Rows(self.scores[:count], self.stops[:count], self.lengths[:count])

    def after(self, count: int) -> Rows:
        """The rows after the first ones."""
        return Rows(self.scores[count:], self.stops[count:], self.lengths[count:])


class Timeline:
    """Scores of one stream by several encoders, in the order of time.

    A row is returned when all encoders have reached its time, so the order does not depend on the chunking.

    Args:
        groups: the keywords of each encoder.
    """

    def __init__(self, groups: Sequence[EncoderGroup]) -> None:
        self._groups = groups
        self._count = sum(len(group.columns) for group in groups)
        self._streams = [group.encoder.stream() for group in groups]
        self._scorers = [StreamScorer(group.windows, group.smoothing) for group in groups]
        self._pending = [_joined([], self._count) for _ in groups]
        self._reached = [0] * len(groups)

    @property
    def next_start(self) -> int:
        """Sample before which no window of a later row begins."""
        return min(self._reached) - max(group.reach for group in self._groups)

    def push(self, wave: Wave) -> Iterator[Rows]:
        """Score the next audio, shape (n,); yields the rows whose time all encoders have reached."""
        return self._process([stream.push(wave) for stream in self._streams])

    def finish(self) -> Iterator[Rows]:
        """End the stream, and yield its last rows."""
        yield from self._process([stream.finish() for stream in self._streams])
        yield _merged(self._pending, self._count)

    def _process(self, frames: Sequence[Floats]) -> Iterator[Rows]:
        if len(self._groups) == 1:
            yield from self._scored(0, frames[0])
            return
        for place, pushed in enumerate(frames):
            self._pending[place] = _joined([self._pending[place], *self._scored(place, pushed)], self._count)
        complete = [int(np.searchsorted(rows.stops, min(self._reached), side="right")) for rows in self._pending]
        yield _merged([rows.first(count) for rows, count in zip(self._pending, complete, strict=True)], self._count)
        self._pending = [rows.after(count) for rows, count in zip(self._pending, complete, strict=True)]

    def _scored(self, place: int, frames: Floats) -> Iterator[Rows]:
        """The rows of one group, with a column for each keyword."""
        group = self._groups[place]
        for scores, stops, lengths in self._scorers[place].push(frames):
            self._reached[place] = int(stops[-1]) * group.hop
            if len(group.columns) == self._count:
                yield Rows(scores, stops * group.hop, lengths * group.hop)
                continue
            wide = np.full((len(scores), self._count), UNKNOWN, np.float32)
            long = np.ones(wide.shape, np.int64)
            wide[:, group.columns], long[:, group.columns] = scores, lengths * group.hop
            yield Rows(wide, stops * group.hop, long)


def _joined(pieces: Sequence[Rows], count: int) -> Rows:
    """Rows one after the other; an empty table of `count` columns where there are none."""
    if not pieces:
        return Rows(np.zeros((0, count), np.float32), np.zeros(0, np.int64), np.zeros((0, count), np.int64))
    if len(pieces) == 1:
        return pieces[0]
    return Rows(
        np.concatenate([rows.scores for rows in pieces]),
        np.concatenate([rows.stops for rows in pieces]),
        np.concatenate([rows.lengths for rows in pieces]),
    )


def _merged(pieces: Sequence[Rows], count: int) -> Rows:
    """Rows of several groups in the order of their times; those of an earlier group first where times are equal."""
    rows = _joined(pieces, count)
    order = np.argsort(rows.stops, kind="stable")
    return Rows(rows.scores[order], rows.stops[order], rows.lengths[order])
