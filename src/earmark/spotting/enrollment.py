"""A few takes of a word become a keyword: find the word in each take, check it, embed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.core.audio import Wave
from earmark.core.names import clean_name
from earmark.spotting.enrolled import OperatingPoint, operating_point
from earmark.spotting.keyword import Keyword
from earmark.spotting.speech import find_speech, spoken_parts
from earmark.spotting.takes import (
    EnrollmentError,
    Take,
    TakeWarning,
    Title,
    checked_wave,
    quality_remarks,
    titles_of,
    titles_with_more,
    warn_of,
    without_speech,
)

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

__all__ = [
    "FALSE_ALARMS_PER_HOUR",
    "EnrollmentError",
    "TakeWarning",
    "embed_part",
    "enroll",
    "extend",
    "find_speech",
    "reembed",
]

FALSE_ALARMS_PER_HOUR = 1.0
"""How often a keyword may be heard where nobody said it, unless told otherwise."""

LONGEST_TAKE_S = 30.0
SHORTEST_S, LONGEST_S = 0.2, 2.0  # of a spoken keyword
SHORTEST_WINDOW_S = 0.3
# A take disagrees when it is this many (robust) standard deviations less like the others than they are like each other.
DISAGREEING_DEVIATIONS, SMALLEST_DEVIATION = 3.5, 0.04


def enroll(
    name: str,
    waves: Sequence[ArrayLike],
    *,
    encoder: Encoder | None = None,
    sources: Sequence[str] = (),
    false_alarms_per_hour: float = FALSE_ALARMS_PER_HOUR,
    only_speaker: str | None = None,
) -> Keyword:
    """Make a keyword of one or more takes; five are good.

    A take may hold silence or noise around the word. The encoder hears that too, as it will when it listens, but only
    the spoken part is embedded.

    Args:
        name: what to call the keyword; need not be the word.
        waves: the takes, each of shape (n,), 16 kHz, at most 30 s.
        encoder: the shipped one unless given.
        sources: where each take comes from, such as its file; for messages, and kept.
        false_alarms_per_hour: how many are acceptable; sets the keyword's threshold.
        only_speaker: name of the speaker whose voice alone it shall answer to, see `speakers.enroll_speaker`.

    Returns:
        The keyword. What is wrong with a take, but not so wrong that it cannot be used, is in its `remarks`.

    Raises:
        InputError: the name cannot be used.
        EnrollmentError: there are no takes, or one is silent, holds no speech or less than 0.2 s of it, or is too long.
        AudioError: a take is no sound.

    Warns:
        TakeWarning: once for each remark.
    """
    name = clean_name(name)
    if not len(waves):
        raise EnrollmentError(f"{name}: no takes; record the word one to ten times")
    titles = titles_of(name, len(waves), sources)
    takes = [_take(wave, title) for wave, title in zip(waves, titles, strict=True)]
    encoder = encoder or _shipped()
    point = _operating_point(encoder, false_alarms_per_hour)
    return replace(_keyword(name, takes, titles, encoder, point), only_speaker=only_speaker)


def extend(
    keyword: Keyword,
    waves: Sequence[ArrayLike],
    *,
    encoder: Encoder | None = None,
    sources: Sequence[str] = (),
    false_alarms_per_hour: float | None = None,
) -> Keyword:
    """A keyword with more takes.

    Args:
        keyword: made with any encoder; it answers to whom it did.
        waves: the takes that are new, as in `enroll`.
        encoder: the one to hear all takes now; the shipped one unless given.
        sources: where each new take comes from.
        false_alarms_per_hour: as in `reembed`.

    Raises:
        EnrollmentError: as in `enroll`.
        AudioError: a take is no sound.

    Warns:
        TakeWarning: once for each remark.
    """
    encoder = encoder or _shipped()
    point = _operating_point(encoder, false_alarms_per_hour, keyword)
    titles = titles_with_more(keyword.name, keyword.takes, len(waves), sources)
    sounds = [*(take.wave for take in keyword.takes), *waves]
    takes = [_take(wave, title) for wave, title in zip(sounds, titles, strict=True)]
    return replace(_keyword(keyword.name, takes, titles, encoder, point), only_speaker=keyword.only_speaker)


def reembed(keyword: Keyword, encoder: Encoder, *, false_alarms_per_hour: float | None = None) -> Keyword:
    """The same takes, heard by another encoder.

    Args:
        keyword: made with any encoder.
        encoder: the one to hear the takes now.
        false_alarms_per_hour: as in `enroll`. Unless given, the threshold stays when the encoder is the same, and when
            another gives other scores it is set for the rate of before, or the default where that is not known.
    """
    point = _operating_point(encoder, false_alarms_per_hour, keyword)
    return replace(
        keyword,
        embeddings=_embedded(keyword.takes, encoder),
        threshold=point.threshold,
        encoder=encoder.fingerprint,
        false_alarms_per_hour=point.rate,
    )


def _keyword(name: str, takes: list[Take], titles: list[Title], encoder: Encoder, point: OperatingPoint) -> Keyword:
    embeddings = _embedded(takes, encoder)
    for index, similarity in _disagreeing(embeddings, point.threshold):
        remark = (
            f"{titles[index]} sounds unlike the others (similarity {similarity:.2f}): record it again, or leave it out"
        )
        takes[index] = takes[index].with_remark(remark)
    warn_of(takes)
    durations_s = [take.end_s - take.start_s for take in takes]
    return Keyword(
        name=name,
        takes=tuple(takes),
        embeddings=embeddings,
        duration_s=float(np.clip(_robust_mean(durations_s), SHORTEST_WINDOW_S, LONGEST_S)),
        threshold=point.threshold,
        encoder=encoder.fingerprint,
        false_alarms_per_hour=point.rate,
    )


def _operating_point(
    encoder: Encoder, false_alarms_per_hour: float | None, known: Keyword | None = None
) -> OperatingPoint:
    return operating_point(
        encoder.calibration.threshold,
        false_alarms_per_hour,
        default=FALSE_ALARMS_PER_HOUR,
        known=None if known is None else OperatingPoint(known.threshold, known.false_alarms_per_hour),
        is_comparable=known is not None and known.encoder == encoder.fingerprint,
    )


def _embedded(takes: Sequence[Take], encoder: Encoder) -> NDArray[np.float32]:
    return np.stack([embed_part(encoder, take.wave, take.start_s, take.end_s) for take in takes])


def _shipped() -> Encoder:
    from earmark.models.encoder import load_encoder

    return load_encoder()


def _take(given: ArrayLike, title: Title) -> Take:
    """Find the word in a take and say what is wrong with it."""
    wave = checked_wave(given, title, LONGEST_TAKE_S, "cut the word out")
    spoken = find_speech(wave)
    if spoken is None:
        raise without_speech(wave, title)
    start_s, end_s = spoken
    if end_s - start_s < SHORTEST_S:
        raise EnrollmentError(
            f"{title} holds only {end_s - start_s:.2f} s of speech: say the whole word, 0.2 s or more"
        )
    remarks = tuple(f"{title} {remark}" for remark in _remarks(wave, start_s, end_s))
    return Take(wave, start_s, end_s, title.source, remarks)


def _remarks(wave: Wave, start_s: float, end_s: float) -> list[str]:
    remarks = quality_remarks(wave, start_s, end_s)
    if end_s - start_s > LONGEST_S:
        remarks.append(
            f"holds {end_s - start_s:.1f} s of speech: a keyword is at most {LONGEST_S:.0f} s; cut the word out"
        )
    parts = spoken_parts(wave)
    loudest = max(part.energy for part in parts)
    if sum(part.energy > 0.03 * loudest for part in parts) > 1:  # 15 dB; a murmur beside the word does no harm
        remarks.append(f"holds more than one spoken part: the one at {start_s:.1f} s is used; leave a take one word")
    return remarks


def embed_part(encoder: Encoder, wave: Wave, start_s: float, end_s: float) -> NDArray[np.float32]:
    """Embed a part of a wave, such as its spoken part; the encoder hears the sound around it, as it does in a stream.

    Returns:
        Unit vector, shape (d,).
    """
    frames = encoder.frames(wave)
    stop = min(len(frames), max(1, round(end_s / encoder.hop_s)))
    length = max(1, stop - round(start_s / encoder.hop_s))
    return encoder.embed_windows(frames, np.array([stop]), length)[0]


def _disagreeing(embeddings: NDArray[np.float32], threshold: float) -> list[tuple[int, float]]:
    """Takes that the others would not find, and that are much less like them than the rest: (index, similarity)."""
    if len(embeddings) < 3:
        return []
    # Each take against the prototype of the others.
    others = embeddings.sum(axis=0) - embeddings
    others /= np.linalg.norm(others, axis=1, keepdims=True) + 1e-9
    similarities = np.sum(embeddings * others, axis=1)
    middle = np.median(similarities)
    deviation = max(1.4826 * float(np.median(np.abs(similarities - middle))), SMALLEST_DEVIATION)
    limit = min(threshold, middle - DISAGREEING_DEVIATIONS * deviation)
    return [(index, float(similarity)) for index, similarity in enumerate(similarities) if similarity < limit]


def _robust_mean(values: Sequence[float]) -> float:
    """Mean of the values within a factor 1.5 of their median."""
    middle = float(np.median(values))
    return float(np.mean([value for value in values if middle / 1.5 <= value <= middle * 1.5] or [middle]))
