"""Corrections by the user: audio that must not trigger a keyword, takes that it missed, takes to drop, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from earmark.core.audio import SAMPLE_RATE, AudioInput, Wave, as_wave, read_parts
from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.spotting.background import BackgroundChoice, with_threshold
from earmark.spotting.detector import Detection, Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.keyword import Keyword, embed_words, with_negatives, with_verifier, word_length_s
from earmark.spotting.negative import Negative, discounted
from earmark.spotting.parts import WHOLE, PartRules
from earmark.spotting.speech import find_speech
from earmark.spotting.takes import EnrollmentError, Take
from earmark.spotting.word_remarks import copied_from

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

CONTEXT_S = 1.0
"""Audio that is kept on each side of a negative or a missed word, in seconds."""

LONGEST_MARK_S = 600.0
"""The longest span to mark at once, in seconds."""

NEAR = 0.15
"""A window is marked as a negative down to this much below the threshold."""

MOST_NEGATIVES = 50
"""Negatives that a keyword keeps; an earlier one is dropped first."""

_ROUNDS, _MARKED_AT_ONCE = 8, 5

Marked = TypeVar("Marked", Take, Negative)


@dataclass(frozen=True)
class Span:
    """A part of a recording, in seconds; None for its beginning or end."""

    start_s: float | None = None
    end_s: float | None = None


def mark_false(
    keyword: Keyword, recording: AudioInput, encoder: Encoder, *, span: Span = Span(), source: str = ""
) -> Keyword:
    """Keep what triggers a keyword in a recording as negatives, so that it triggers the keyword no more.

    The threshold and the takes stay. Where nothing reaches the threshold, the best window becomes the negative.

    Args:
        keyword: enrolled with this encoder.
        recording: audio without the word, shape (n,), 16 kHz, or a path.
        encoder: embeds the negatives.
        span: the part without the word; all by default.
        source: origin of the recording; the path by default.

    Raises:
        InputError: nothing in the span resembles the keyword, the span is empty or longer than ten minutes, or the
            recording resembles the takes too much.
    """
    wave, start_s, end_s = _read_span(recording, span)
    source = source or (str(recording) if isinstance(recording, str | Path) else "")
    known, found = keyword, _triggers(keyword, encoder, wave, start_s, end_s, nearest=True)
    for _ in range(_ROUNDS):
        negatives = [_cut(wave, place, Negative(wave, *place, source)) for place in found]
        keyword = with_negatives(keyword, [*keyword.negatives, *negatives][-MOST_NEGATIVES:], encoder)
        found = _triggers(keyword, encoder, wave, start_s, end_s)
        if not found:
            break
    lost = lost_takes(known, keyword)
    if found or 2 * len(lost) >= max(1, len(keyword.takes)):
        problem = f"takes {', '.join(map(str, lost))} would be missed" if lost else "it would still be detected"
        raise InputError(
            f"the recording resembles the takes of {keyword.name!r} too much: {problem}; check that it does not "
            "contain the word, or raise the threshold"
        )
    return keyword


def lost_takes(before: Keyword, after: Keyword) -> list[int]:
    """Numbers of the takes, from 1, that the keyword detected before a change and does not detect after it."""
    return [
        number
        for number, (old, new) in enumerate(zip(_window_scores(before), _window_scores(after), strict=True), start=1)
        if old >= before.threshold and new < after.threshold
    ]


def _window_scores(keyword: Keyword) -> list[float]:
    """The score of each take, as if it were a window of a stream."""
    if keyword.parts is None:
        return []
    negatives = np.zeros((0, *keyword.parts.shape[1:])) if keyword.negative_parts is None else keyword.negative_parts
    references = np.concatenate([keyword.part_prototypes[None], negatives])
    rules = PartRules.of([keyword.duration_s] * len(references), [keyword.take_weight] * len(references))
    # Shape (7, k, references): the same part of each take and each reference.
    similarity = np.einsum("kpd,rpd->pkr", keyword.parts, references).astype(np.float32)
    scores = rules.combine(similarity)
    return discounted(scores[:, :1], scores[:, 1:], np.zeros(len(negatives), np.int64))[:, 0].tolist()


def mark_missed(
    keyword: Keyword,
    recording: AudioInput,
    encoder: Encoder,
    *,
    span: Span = Span(),
    source: str = "",
    background: BackgroundChoice = "shipped",
    progress: Progress = no_progress,
) -> Keyword:
    """Add a word that a keyword missed as a take.

    Args:
        keyword: enrolled with this encoder.
        recording: shape (n,), 16 kHz, or a path.
        encoder: embeds the take.
        span: a part that contains the word once, and no other speech; all by default.
        source: origin of the recording; the path by default.
        background: sets the threshold, as in `enroll`.
        progress: as in `enroll`.

    Raises:
        EnrollmentError: the span contains no speech, or a take of the keyword.
        InputError: the span is empty or too long.
    """
    wave, start_s, end_s = _read_span(recording, span)
    first, last = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
    spoken = find_speech(wave[first:last])
    if spoken is None:
        raise EnrollmentError(f"no speech from {start_s:.2f} to {end_s:.2f} s; give the span of the word")
    source = source or (str(recording) if isinstance(recording, str | Path) else "")
    place = start_s + spoken[0], start_s + spoken[1]
    take = _cut(wave, place, Take(wave, *place, source))
    original = copied_from(take, keyword.takes)
    if original is not None:
        raise EnrollmentError(
            f"the word from {place[0]:.2f} to {place[1]:.2f} s is take {original + 1} of {keyword.name!r} already; "
            "mark another one"
        )
    return _with_takes(keyword, [*keyword.takes, take], encoder, background, progress)


def drop_take(
    keyword: Keyword,
    number: int,
    encoder: Encoder,
    *,
    background: BackgroundChoice = "shipped",
    progress: Progress = no_progress,
) -> Keyword:
    """Drop a take of a keyword.

    Args:
        keyword: enrolled with this encoder.
        number: of the take, from 1.
        encoder: of the keyword.
        background: sets the threshold, as in `enroll`.
        progress: as in `enroll`.

    Raises:
        InputError: there is no such take, or no other one.
    """
    _check_number(number, len(keyword.takes), f"takes of {keyword.name!r}")
    if len(keyword.takes) == 1 and not keyword.synthetic:
        raise InputError(f"{keyword.name!r} has no other take; enroll it again, or remove it")
    takes = [take for place, take in enumerate(keyword.takes, start=1) if place != number]
    return _with_takes(keyword, takes, encoder, background, progress)


def drop_negative(keyword: Keyword, number: int) -> Keyword:
    """Drop a negative of a keyword, by its number from 1.

    Raises:
        InputError: there is no such negative.
    """
    _check_number(number, len(keyword.negatives), f"negatives of {keyword.name!r}")
    kept = [place for place in range(len(keyword.negatives)) if place != number - 1]
    parts, verified = keyword.negative_parts, keyword.verifier
    if verified is not None:
        verified = replace(verified, negative_parts=verified.negative_parts[kept])
    return replace(
        keyword,
        negatives=tuple(keyword.negatives[place] for place in kept),
        negative_parts=parts[kept] if parts is not None and kept else None,
        verifier=verified,
    )


def set_threshold(keyword: Keyword, threshold: float) -> Keyword:
    """The keyword with a threshold that the user chose; later takes do not change it.

    Raises:
        InputError: the threshold is not in [-1, 1].
    """
    if not -1 <= threshold <= 1:
        raise InputError(f"{threshold:g} is no score; choose -1 to 1", key="threshold")
    calibration = replace(keyword.calibration, origin="user", tail=None, expected_misses=None)
    return replace(keyword, threshold=threshold, rate=None, calibration=calibration)


def _with_takes(
    keyword: Keyword, takes: Sequence[Take], encoder: Encoder, background: BackgroundChoice, progress: Progress
) -> Keyword:
    """The keyword with other takes, and the threshold for its rate; an unknown rate keeps the threshold."""
    parts = embed_words(takes, encoder)
    changed = replace(
        keyword,
        takes=tuple(takes),
        embeddings=parts[:, WHOLE],
        parts=parts,
        encoder=encoder.fingerprint,
        duration_s=word_length_s(takes, keyword.synthetic),
        verifier=None,
    )
    if keyword.rate is None:
        return changed if keyword.verifier is None else with_verifier(changed)
    return with_threshold(changed, encoder, keyword.rate, background, progress=progress)


def _triggers(
    keyword: Keyword, encoder: Encoder, wave: Wave, start_s: float, end_s: float, *, nearest: bool = False
) -> list[tuple[float, float]]:
    """Spans of a wave that trigger a keyword, the best ones first; where none does and `nearest`, the best one.

    Raises:
        InputError: with `nearest`, nothing comes near the threshold.
    """
    alone = replace(keyword, only_speaker=None)
    least = max(-1.0, keyword.threshold - (NEAR if nearest else 0))
    # By their times: most windows are found with and without the verifier.
    found: dict[tuple[float, float], Detection] = {}
    for verify in (False, True) if keyword.verifier is not None else (False,):
        # A file has time: each detection waits for its highest score, so that one sound is marked once.
        settings = DetectorSettings(threshold=least, verify=verify, rise_per_s=-50)
        detector = Detector(alone, encoder=encoder, settings=settings)
        found |= {(hit.start_s, hit.end_s): hit for hit in detector.detect(wave)}
    hits = [hit for hit in found.values() if hit.end_s > start_s and hit.start_s < end_s]
    above = sorted((hit for hit in hits if hit.score >= keyword.threshold), key=lambda hit: -hit.score)
    if not above and nearest:
        if not hits:
            raise InputError(
                f"nothing from {start_s:.2f} to {end_s:.2f} s comes near the threshold {keyword.threshold:.2f} of "
                f"{keyword.name!r}; check the recording and the times"
            )
        above = [max(hits, key=lambda hit: hit.score)]
    # The others are often alike: the next round finds those that are not.
    return [(hit.start_s, hit.end_s) for hit in above[:_MARKED_AT_ONCE]]


def _read_span(recording: AudioInput, span: Span) -> tuple[Wave, float, float]:
    """The audio of a span with its context, and the place of the span in it, in seconds."""
    start_s = span.start_s or 0.0
    if isinstance(recording, str | Path):
        end_s = None if span.end_s is None else span.end_s + CONTEXT_S
        (wave,) = read_parts(recording, [(start_s - CONTEXT_S, end_s)])
        offset_s = max(0.0, start_s - CONTEXT_S)
    else:
        wave, offset_s = as_wave(recording), 0.0
    length_s = len(wave) / SAMPLE_RATE
    first_s = start_s - offset_s
    last_s = length_s if span.end_s is None else min(length_s, span.end_s - offset_s)
    if last_s <= first_s:
        raise InputError(f"no audio from {start_s:g} s to {offset_s + last_s:g} s; check the times")
    if last_s - first_s > LONGEST_MARK_S:
        raise InputError(
            f"{last_s - first_s:.0f} s are too long to mark; choose a span of at most {LONGEST_MARK_S:.0f} s"
        )
    return wave, first_s, last_s


def _cut(wave: Wave, place: tuple[float, float], marked: Marked) -> Marked:
    """Cut a take or negative out of its wave, with context."""
    start_s, end_s = place
    first_s = max(0.0, start_s - CONTEXT_S)
    cut = wave[round(first_s * SAMPLE_RATE) : round((end_s + CONTEXT_S) * SAMPLE_RATE)]
    return replace(marked, wave=cut.copy(), start_s=start_s - first_s, end_s=end_s - first_s)


def _check_number(number: int, count: int, noun: str) -> None:
    if not 1 <= number <= count:
        raise InputError(f"no number {number} among the {count} {noun}")
