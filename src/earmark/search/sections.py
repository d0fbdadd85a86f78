"""Which parts of a recording are worth indexing: where something stands above the noise.

This gate is for leaving silence and steady noise out, not for telling speech from other sound: what nobody says costs
bytes, what is left out is lost. It hears a recording of any length as it comes.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.search.settings import IndexSettings

Levels = NDArray[np.float32]  # dB, one row for each 20 ms, one column a band
Span = tuple[float, float]  # seconds

HOP_S = 0.02
_HOP, _WINDOW = SAMPLE_RATE * 20 // 1000, SAMPLE_RATE * 32 // 1000
# Vowels, then fricatives and releases of plosives, as in `earmark.spotting.speech`.
_BAND_EDGES_HZ = (120, 400, 900, 1600, 2600, 4000, 5600, 7400)
_FLOOR_S = 20.0  # a floor is found for as much sound at a time …
_FLOOR_SHARE = 15  # … and is what a band exceeds for all but so many percent of it
SILENT_DB = -70.0  # of full scale, in the loudest band: below it, nobody can be heard
CLICK_S = 0.06  # what is shorter and stands alone is no speech
SHORT_S = 2.0  # a recording no longer may be one word from end to end, with no noise to compare it with


class LevelMeter:
    """Measures the level of each band, block by block."""

    def __init__(self) -> None:
        self._rest: Wave = np.zeros(0, np.float32)
        self._taper = np.hanning(_WINDOW).astype(np.float32)
        self._edges = np.searchsorted(np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE), _BAND_EDGES_HZ)
        self._heard: list[Levels] = []

    def push(self, block: Wave) -> None:
        """Hear the next samples, any number of them, 16 kHz."""
        self._measure(np.concatenate([self._rest, block]))

    def finish(self) -> Levels:
        """End the recording; levels in dB of full scale, shape (t, bands), row i for the 20 ms from i · 20 ms on."""
        if len(self._rest):
            self._measure(np.pad(self._rest, (0, _WINDOW)))
        return np.concatenate(self._heard) if self._heard else np.zeros((0, len(self._edges) - 1), np.float32)

    def _measure(self, wave: Wave) -> None:
        count = max(0, (len(wave) - _WINDOW) // _HOP + 1)
        self._rest = wave[count * _HOP :]
        if not count:
            return
        windows = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP][:count]
        power = np.abs(np.fft.rfft(windows * self._taper)) ** 2 / _WINDOW**2
        bands = np.add.reduceat(power[:, : self._edges[-1]], self._edges[:-1], axis=1)
        self._heard.append((10 * np.log10(bands + 1e-12)).astype(np.float32))


def find_sections(levels: Levels, duration_s: float, settings: IndexSettings) -> list[Span]:
    """Parts of a recording in which somebody may be speaking.

    Args:
        levels: from `LevelMeter.finish`.
        duration_s: of the recording, in seconds.
        settings: the gate and its times.

    Returns:
        Start and end in seconds, in order, apart from each other.
    """
    if settings.gate == "none":
        return [(0.0, duration_s)]
    if duration_s <= SHORT_S:
        return [(0.0, duration_s)] if levels.max(initial=-np.inf) > SILENT_DB else []
    loud = _excess(levels) > settings.excess_db
    edges = np.flatnonzero(np.diff(np.pad(loud, 1).astype(np.int8)))
    spans = [(start * HOP_S, stop * HOP_S) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    joined = _joined(spans, 0.15)
    kept = [
        (max(0.0, start - settings.margin_s), min(duration_s, stop + settings.margin_s))
        for start, stop in joined
        if stop - start >= CLICK_S - 1e-9
    ]
    return _joined(kept, settings.bridge_s)


def within(sections: Sequence[Span], stretches: Sequence[Span]) -> list[Span]:
    """What of the sections lies in one of the stretches, such as the clips of a manifest; all where there are none.

    >>> within([(0.0, 2.0), (3.0, 4.0)], [(1.0, 3.5)])
    [(1.0, 2.0), (3.0, 3.5)]
    """
    if not stretches:
        return list(sections)
    both = (
        (max(start, first), min(end, last)) for start, end in sections for first, last in _joined(sorted(stretches), 0)
    )
    return [(start, end) for start, end in both if end > start]


def _excess(levels: Levels) -> NDArray[np.float32]:
    """How far the best band of each row stands above its floor, in dB; shape (t,)."""
    # Three rows together: steady noise then varies by 1–2 dB.
    padded = np.pad(levels, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    size = round(_FLOOR_S / HOP_S)
    # The last piece is as long as the others, so that a short rest is not its own floor.
    starts = [max(0, min(start, len(smooth) - size)) for start in range(0, len(smooth), size)]
    floors = np.stack([np.percentile(smooth[start : start + size], _FLOOR_SHARE, axis=0) for start in starts])
    around = np.pad(floors, ((1, 1), (0, 0)), mode="edge")
    # The lowest of three pieces: someone may speak through all of one.
    floors = np.maximum(np.minimum(np.minimum(around[:-2], around[1:-1]), around[2:]), SILENT_DB - 8)
    return (smooth - floors.repeat(size, axis=0)[: len(smooth)]).max(axis=1)


def _joined(spans: Iterable[Span], gap_s: float) -> list[Span]:
    """Spans in order, those no more than `gap_s` apart made one."""
    found: list[Span] = []
    for start, end in spans:
        if found and start - found[-1][1] <= gap_s + 1e-9:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
