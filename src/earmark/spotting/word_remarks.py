"""Remarks on the takes of a keyword: what is wrong with a recording, and the cure.

A doubt is a remark after which a take should rather be left out: the command line asks, or needs --force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.spotting.agreement import Agreement
from earmark.spotting.speech import CUT_OUT_S, spoken_parts
from earmark.spotting.takes import Take, TakeLabel, quality_remarks

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.float32]

LONGEST_S = 2.0  # of a spoken keyword
SAME_RECORDING = 0.97
"""Two takes with a larger correlation are copies. Copies in lossy formats have at least 0.98, takes of real words at
most 0.8."""

# Chosen on words that no result is reported on, see docs/decisions/0019.
_EDGE_S = 0.02  # speech that begins later was not cut off
_EDGE_DB, _ALONE_EDGE_DB = -22.0, -18.0  # level at the edge, relative to the loud parts of the word
_CLOSE_S = 0.05  # by the other takes, the word ends at most this long before the edge …
_BEYOND_S = 0.03  # … or at least this long after it
_LEAST_NORM = 2.1  # of the frames of a word, relative to those of silence


def remark_words(
    takes: Sequence[Take],
    agreements: Sequence[Agreement],
    frames: Sequence[Floats],
    encoder: Encoder,
    labels: Sequence[TakeLabel],
) -> list[Take]:
    """The takes with remarks on each.

    Args:
        takes: with the spans of their words.
        agreements: where the other takes place the word in each.
        frames: of each take, shape (t, width).
        encoder: of the frames.
        labels: of the takes, for messages.
    """
    remarked = []
    for place, (take, agreement, label) in enumerate(zip(takes, agreements, labels, strict=True)):
        remarks = tuple(f"{label} {remark}" for remark in [*_quality(take), *_cut_off(take, agreement)])
        doubts = []
        if not _resembles_speech(take, frames[place], encoder):
            doubts.append(f"{label} sounds like music or noise, not like a word: record it where it is quiet")
        original = copied_from(take, takes[:place])
        if original is not None:
            doubts.append(f"{label} is the same recording as {labels[original]}: leave it out, or say the word again")
        remarked.append(replace(take, remarks=(*remarks, *doubts), doubts=tuple(doubts)))
    return remarked


def _quality(take: Take) -> list[str]:
    """Remarks on noise, clipping, and on more than one word."""
    remarks, length_s = quality_remarks(take.wave, take.start_s, take.end_s), take.end_s - take.start_s
    if length_s > LONGEST_S:
        remarks.append(f"contains {length_s:.1f} s of speech: a keyword is at most {LONGEST_S:.0f} s; cut the word out")
    parts = spoken_parts(take.wave)
    loudest = max(part.energy for part in parts)
    if sum(part.energy > 0.03 * loudest for part in parts) > 1:  # 15 dB; a murmur beside the word does no harm
        remarks.append(
            f"contains more than one spoken part: the one at {take.start_s:.1f} s is used; cut it to one word"
        )
    return remarks


def _cut_off(take: Take, agreement: Agreement) -> list[str]:
    """Remarks on a word that begins before the recording, or ends after it."""
    length_s = len(take.wave) / SAMPLE_RATE
    levels_db = _levels_db(take.wave)
    if length_s <= CUT_OUT_S or len(levels_db) < 3:  # a word that was cut out on purpose
        return []
    word = levels_db[round(take.start_s * 100) : max(round(take.start_s * 100) + 1, round(take.end_s * 100))]
    loud_db = float(np.percentile(word if len(word) else levels_db, 90))
    voted = agreement.voted
    sides = (
        (take.start_s, levels_db[0], None if voted is None else -voted[0], "start", "begin to speak after it starts"),
        (length_s - take.end_s, levels_db[-1], None if voted is None else voted[1] - length_s, "end", "let it run on"),
    )
    return [
        f"is cut off at its {side}: record it again, and {cure}"
        for edge_s, level_db, beyond_s, side, cure in sides
        if edge_s <= _EDGE_S and _continues(level_db - loud_db, beyond_s)
    ]


def _continues(level_db: float, beyond_s: float | None) -> bool:
    """Whether a word continues beyond the edge of the recording, by the level there and by the other takes."""
    if beyond_s is None:
        return level_db > _ALONE_EDGE_DB
    return beyond_s > _BEYOND_S or (level_db > _EDGE_DB and beyond_s > -_CLOSE_S)


def _levels_db(wave: Wave) -> NDArray[np.float64]:
    """Level of each 10 ms in dB of full scale; the last one of the last 10 ms."""
    size = SAMPLE_RATE // 100
    whole = wave[: len(wave) // size * size].reshape(-1, size)
    blocks = [*whole, wave[-size:]]
    return np.array([10 * np.log10(np.mean(np.square(block, dtype=np.float64)) + 1e-12) for block in blocks])


def _resembles_speech(take: Take, frames: Floats, encoder: Encoder) -> bool:
    """Whether the frames of a word are longer than those of silence; noise and music have short ones.

    Only shipped encoders are known to learn that.
    """
    from earmark.models.encoder import shipped_encoder

    if shipped_encoder(encoder.fingerprint) is None:
        return True
    silence = 1e-4 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    usual = float(np.median(np.linalg.norm(encoder.frames(silence.astype(np.float32)), axis=1)))
    first = min(int(take.start_s / encoder.hop_s), len(frames) - 1)
    word = frames[first : max(first + 1, round(take.end_s / encoder.hop_s))]
    return float(np.percentile(np.linalg.norm(word, axis=1), 75)) >= _LEAST_NORM * usual


def copied_from(take: Take, others: Sequence[Take]) -> int | None:
    """Index of the take that is the same recording: shifted, scaled, cut or in another format. None if none is."""
    word = take.wave[round(take.start_s * SAMPLE_RATE) : round(take.end_s * SAMPLE_RATE)]
    for index, other in enumerate(others):
        if largest_correlation(word, other.wave) > SAME_RECORDING:
            return index
    return None


def largest_correlation(word: Wave, wave: Wave) -> float:
    """The largest normalized correlation of a wave with a part of another one, in [0, 1].

    Args:
        word: shape (m,).
        wave: shape (n,); where it is shorter than the word, a part of the word is compared with it.
    """
    short, long = sorted((word, wave), key=len)
    if not len(short) or not short.any():
        return 0.0
    size = 1 << (len(short) + len(long)).bit_length()
    product = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)
    energy = np.cumsum(np.pad(np.square(long, dtype=np.float64), (1, 0)))
    own = energy[len(short) :] - energy[: len(long) - len(short) + 1]
    total = float(np.sum(np.square(short, dtype=np.float64)))
    # A part with hardly any energy resembles nothing.
    scale = np.sqrt(total * np.maximum(own, 1e-3 * total))
    return float(np.abs(product[: len(own)] / scale).max())
