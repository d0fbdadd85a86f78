"""Speech in a take: energy above the noise around it, band by band."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave

Levels = NDArray[np.float64]  # one number in dB for each 10 ms
Span = tuple[int, int]  # frames from the first to before the second

HOP_S = 0.01
_WINDOW = SAMPLE_RATE * 32 // 1000
_HOP = int(SAMPLE_RATE * HOP_S)
# Vowels, then fricatives and releases of plosives: one active band is enough.
_BAND_EDGES_HZ = (120, 400, 900, 1600, 2600, 4000, 5600, 7400)

ENTER_DB = 10.0  # level above the floor at which speech starts
STAY_DB = 5.0  # … and continues
ENTER_SHARE = 0.35  # the same, as a share of the height of speech in dB: a rustle in a quiet room exceeds 10 dB
STAY_SHARE = 0.25
BRIDGE_S = 0.15  # the closure of a plosive inside a word
JOIN_S = 0.3  # the pause between the words of one keyword
CLICK_S = 0.06  # a shorter span is not speech, unless it ends a word (the release of a plosive)
FAR_DB = 15.0  # a part that is weaker by more than this is not joined: another voice, far away …
FAR_S = 0.3  # … or the end of the word, if it is shorter and right beside it
WORD_S = 0.1  # shortest isolated word
WORD_SHARE = 0.55  # least height of a word, as a share of the height of speech in dB: breath and rustle are lower
MARGIN_S = 0.03  # added on each side: a weak fricative begins before it is found
CUT_OUT_S = 0.4  # a shorter take with speech is a word that was cut out
STEADY_S = 0.15  # noise is steady for so long …
STEADY_DB = 1.1  # … with less than this standard deviation, as a mean over the bands; speech has at least 1.5 dB
VOWEL_DB = 8.0  # steady sound less than this below the loudest speech may be a vowel
SILENT_DB = -75.0  # of full scale, in the loudest band: below is silence


@dataclass(frozen=True)
class SpokenPart:
    """A span of speech: its times, and its energy (sum over frames, linear)."""

    start_s: float
    end_s: float
    energy: float


def find_speech(wave: Wave) -> tuple[float, float] | None:
    """Find the spoken part of a take; of several parts, the one with the most energy.

    A take of at most 0.4 s with speech is returned whole.

    Args:
        wave: shape (n,), 16 kHz.

    Returns:
        Start and end in seconds, with a margin of 30 ms, or None without speech.

    >>> time_s = np.arange(16_000) / 16_000
    >>> word = np.where((time_s > 0.4) & (time_s < 0.8), 0.1 * np.sin(2 * np.pi * 300 * time_s), 0)
    >>> find_speech(word.astype(np.float32))
    (0.35, 0.85)
    """
    parts = spoken_parts(wave)
    if not parts:
        return None
    # The word was cut out already, without noise to compare its weak ends with.
    if len(wave) <= CUT_OUT_S * SAMPLE_RATE:
        return 0.0, len(wave) / SAMPLE_RATE
    main = max(parts, key=lambda part: part.energy)
    return main.start_s, main.end_s


def spoken_parts(wave: Wave) -> list[SpokenPart]:
    """Spoken parts of a take, in order; parts of similar level less than 0.3 s apart are joined.

    Args:
        wave: shape (n,), 16 kHz.
    """
    level_db, excess_db = _levels(wave)
    if not len(level_db):
        return []
    # The 90th percentile, not the peak: a click is loud but short.
    height_db = float(np.percentile(excess_db, 90))
    spans = _bridge(_without_clicks(_active(excess_db, height_db)), BRIDGE_S, level_db, FAR_S)
    words = [span for span in spans if _is_word(excess_db[span[0] : span[1]], height_db)]
    power = 10 ** (level_db / 10)
    parts = []
    for start, stop in _bridge(words, JOIN_S, level_db):
        begin_s, end_s = max(0.0, start * HOP_S - MARGIN_S), min(len(wave) / SAMPLE_RATE, stop * HOP_S + MARGIN_S)
        parts.append(SpokenPart(round(begin_s, 3), round(end_s, 3), float(power[start:stop].sum())))
    return parts


def signal_to_noise_db(wave: Wave) -> float | None:
    """Level of the main spoken part above that of the noise; None with less than 0.15 s of noise.

    Args:
        wave: shape (n,), 16 kHz.
    """
    parts = spoken_parts(wave)
    level_db, _ = _levels(wave)
    power = 10 ** (level_db / 10)
    times_s = (np.arange(len(power)) + 0.5) * HOP_S
    outside = np.ones(len(power), bool)
    for part in parts:
        outside &= (times_s < part.start_s) | (times_s > part.end_s)
    if not parts or outside.sum() * HOP_S < 0.15:
        return None
    main = max(parts, key=lambda part: part.energy)
    inside = (times_s >= main.start_s) & (times_s <= main.end_s)
    noise = power[outside].mean()
    return float(10 * np.log10(max(power[inside].mean() - noise, 1e-12) / max(noise, 1e-12)))


def _levels(wave: Wave) -> tuple[Levels, Levels]:
    """Level of each 10 ms frame in dB of full scale, and the largest excess of a band over its floor, in dB.

    Returns:
        Two arrays of shape (t,); frame i describes the 10 ms that begin at i · 10 ms.
    """
    if not len(wave):
        return np.zeros(0), np.zeros(0)
    reach = (_WINDOW - _HOP) // 2
    padded = np.pad(wave, (reach, _WINDOW), mode="reflect" if len(wave) > _WINDOW else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][: -(-len(wave) // _HOP)]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2 / _WINDOW**2
    edges = np.searchsorted(np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE), _BAND_EDGES_HZ)
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    # Average three frames: the level of steady noise then varies by 1–2 dB instead of 3.
    padded_bands = np.pad(bands, ((1, 1), (0, 0)), mode="edge")
    smooth_db = 10 * np.log10((padded_bands[:-2] + bands + padded_bands[2:]) / 3 + 1e-12)
    floor_db = np.maximum(_floor(smooth_db), SILENT_DB - ENTER_DB)
    return 10 * np.log10(bands.sum(axis=1) + 1e-12), (smooth_db - floor_db).max(axis=1)


def _floor(bands_db: Levels) -> Levels:
    """Level of the noise in each band: that of the nearest steady noise, of two sides the louder one.

    Noise stays within 1 dB in most bands, also after a step in level; speech changes. Digital silence and the closed
    gate of a microphone are steady too, but quieter than the noise on the other side of the word.

    Args:
        bands_db: shape (t, bands).

    Returns:
        Shape (t, bands); without steady noise the level that a band exceeds 85 % of the time, shape (1, bands).
    """
    count = round(STEADY_S / HOP_S)
    if len(bands_db) < count:
        return np.percentile(bands_db, 15, axis=0, keepdims=True)
    mean_db = _running_mean(bands_db, count)
    spread_db = np.sqrt(np.maximum(_running_mean(bands_db**2, count) - mean_db**2, 0)).mean(axis=1)
    power = (10 ** (bands_db / 10)).sum(axis=1)
    # The level that the take exceeds for 0.1 s: a click does not raise it.
    loud = np.sort(power)[-10]
    quiet = _running_mean(power[:, None], count)[:, 0] < loud * 10 ** (-VOWEL_DB / 10)
    steady = np.flatnonzero((spread_db < STEADY_DB) & quiet)
    if not len(steady):
        return np.percentile(bands_db, 15, axis=0, keepdims=True)
    after = np.searchsorted(steady + count // 2, np.arange(len(bands_db)))
    before = np.maximum(after - 1, 0)
    # The lower edge of the noise: the weak end of a word may raise the mean.
    floors_db = mean_db[steady] - 2
    return np.maximum(floors_db[before], floors_db[np.minimum(after, len(steady) - 1)])


def _running_mean(values: Levels, count: int) -> Levels:
    """Mean of each `count` successive rows."""
    sums = np.cumsum(np.pad(values, ((1, 0), (0, 0))), axis=0)
    return (sums[count:] - sums[:-count]) / count


def _active(excess_db: Levels, height_db: float) -> Iterator[Span]:
    """Spans of frames above the lower threshold, with at least one frame above the upper one."""
    enter_db, stay_db = max(ENTER_DB, ENTER_SHARE * height_db), max(STAY_DB, STAY_SHARE * height_db)
    edges = np.flatnonzero(np.diff(np.pad(excess_db > stay_db, 1).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if excess_db[start:stop].max() > enter_db:
            yield int(start), int(stop)


def _is_word(excess_db: Levels, height_db: float) -> bool:
    return len(excess_db) >= WORD_S / HOP_S and float(excess_db.max()) >= WORD_SHARE * height_db


def _without_clicks(spans: Iterable[Span]) -> Iterator[Span]:
    """Drop spans shorter than CLICK_S, except right after speech."""
    spoke_until = -np.inf
    for start, stop in spans:
        if stop - start >= CLICK_S / HOP_S or (start - spoke_until) * HOP_S <= BRIDGE_S:
            spoke_until = stop
            yield start, stop


def _bridge(spans: Iterable[Span], gap_s: float, level_db: Levels, far_s: float = 0.0) -> Iterator[Span]:
    """Join spans that are at most `gap_s` apart, but none of `far_s` or more that is far weaker than the other."""
    open_span: Span | None = None
    for span in spans:
        if open_span is None:
            open_span = span
            continue
        weak, loud = sorted((open_span, span), key=lambda each: level_db[slice(*each)].max())
        far = level_db[slice(*weak)].max() < level_db[slice(*loud)].max() - FAR_DB
        near = (span[0] - open_span[1]) * HOP_S <= gap_s + 1e-9
        if near and not (far and weak[1] - weak[0] >= far_s / HOP_S):
            open_span = open_span[0], span[1]
        else:
            yield open_span
            open_span = span
    if open_span is not None:
        yield open_span
