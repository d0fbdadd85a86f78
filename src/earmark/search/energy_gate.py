"""Active regions of a recording: where the energy of a frequency band is above the noise floor.

The gate drops silence and steady noise. A voice activity detector would drop more, but dropped speech cannot be found,
whereas noise that is kept only costs bytes. Recordings of any length are processed block by block.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.search.settings import IndexSettings

Levels = NDArray[np.float32]  # dB, shape (t, bands), one row per 20 ms
Region = tuple[float, float]  # start and end in seconds

HOP_S = 0.02
_HOP, _WINDOW = SAMPLE_RATE * 20 // 1000, SAMPLE_RATE * 32 // 1000
# Vowels, then fricatives and the releases of plosives, as in `earmark.spotting.speech`.
_BAND_EDGES_HZ = (120, 400, 900, 1600, 2600, 4000, 5600, 7400)
_FLOOR_S = 20.0  # the noise floor of a band is a percentile over this time
_FLOOR_PERCENTILE = 15
SILENT_DB = -70.0  # of full scale, in the loudest band: no audible speech below
CLICK_S = 0.06  # a shorter isolated sound is no speech
SHORT_S = 2.0  # a shorter recording may be a single word, without noise to compare it with


class LevelMeter:
    """Measures the levels of frequency bands of a recording, block by block."""

    def __init__(self) -> None:
        self._rest: Wave = np.zeros(0, np.float32)
        self._taper = np.hanning(_WINDOW).astype(np.float32)
        self._edges = np.searchsorted(np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE), _BAND_EDGES_HZ)
        self._levels: list[Levels] = []

    def push(self, block: Wave) -> None:
        """Measure the next samples: any number of them, 16 kHz."""
        self._measure(np.concatenate([self._rest, block]))

    def finish(self) -> Levels:
        """End the recording, and return the levels of all of it.

        Returns:
            Levels in dB of full scale, shape (t, bands); row i is measured from i · 20 ms on.
        """
        if len(self._rest):
            self._measure(np.pad(self._rest, (0, _WINDOW)))
        return np.concatenate(self._levels) if self._levels else np.zeros((0, len(self._edges) - 1), np.float32)

    def _measure(self, wave: Wave) -> None:
        count = max(0, (len(wave) - _WINDOW) // _HOP + 1)
        self._rest = wave[count * _HOP :]
        if not count:
            return
        windows = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP][:count]
        power = np.abs(np.fft.rfft(windows * self._taper)) ** 2 / _WINDOW**2
        bands = np.add.reduceat(power[:, : self._edges[-1]], self._edges[:-1], axis=1)
        self._levels.append((10 * np.log10(bands + 1e-12)).astype(np.float32))


def active_regions(levels: Levels, duration_s: float, settings: IndexSettings) -> list[Region]:
    """Find the regions of a recording that may contain speech.

    Args:
        levels: from `LevelMeter.finish`.
        duration_s: length of the recording.
        settings: whether to gate, and the level and times of the gate.

    Returns:
        Start and end in seconds, ascending, disjoint.
    """
    if not settings.energy_gate:
        return [(0.0, duration_s)]
    if duration_s <= SHORT_S:
        return [(0.0, duration_s)] if levels.max(initial=-np.inf) > SILENT_DB else []
    loud = _excess(levels) > settings.excess_db
    edges = np.flatnonzero(np.diff(np.pad(loud, 1).astype(np.int8)))
    regions = [(start * HOP_S, stop * HOP_S) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    padded = [
        (max(0.0, start - settings.margin_s), min(duration_s, stop + settings.margin_s))
        for start, stop in _joined(regions, 0.15)
        if stop - start >= CLICK_S - 1e-9
    ]
    return _joined(padded, settings.bridge_s)


def intersect(regions: Sequence[Region], spans: Sequence[Region]) -> list[Region]:
    """Return the parts of regions inside spans, such as the clips of a manifest; all regions if there are no spans.

    >>> intersect([(0.0, 2.0), (3.0, 4.0)], [(1.0, 3.5)])
    [(1.0, 2.0), (3.0, 3.5)]
    """
    if not spans:
        return list(regions)
    both = ((max(start, first), min(end, last)) for start, end in regions for first, last in _joined(sorted(spans), 0))
    return [(start, end) for start, end in both if end > start]


def _excess(levels: Levels) -> NDArray[np.float32]:
    """Return for each row the largest excess of a band's level over its noise floor, in dB, shape (t,)."""
    # Averaged over three rows: the level of steady noise then varies by 1–2 dB.
    padded = np.pad(levels, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    size = round(_FLOOR_S / HOP_S)
    # The last block is as long as the others, so that a short rest does not define its own floor.
    starts = [max(0, min(start, len(smooth) - size)) for start in range(0, len(smooth), size)]
    floors = np.stack([np.percentile(smooth[start : start + size], _FLOOR_PERCENTILE, axis=0) for start in starts])
    around = np.pad(floors, ((1, 1), (0, 0)), mode="edge")
    # The lowest of three blocks: speech may fill a whole block.
    floors = np.maximum(np.minimum(np.minimum(around[:-2], around[1:-1]), around[2:]), SILENT_DB - 8)
    return (smooth - floors.repeat(size, axis=0)[: len(smooth)]).max(axis=1)


def _joined(regions: Iterable[Region], gap_s: float) -> list[Region]:
    """Join ascending regions with gaps of up to `gap_s` seconds."""
    found: list[Region] = []
    for start, end in regions:
        if found and start - found[-1][1] <= gap_s + 1e-9:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
