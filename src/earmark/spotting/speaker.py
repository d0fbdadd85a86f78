"""A speaker: a voice to know again, from a few recordings of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.core.audio import SAMPLE_RATE, AudioError, Wave, as_wave
from earmark.core.errors import InputError
from earmark.core.names import clean_name
from earmark.spotting.enrolled import OperatingPoint, operating_point
from earmark.spotting.keyword import unit_mean
from earmark.spotting.speech import spoken_parts
from earmark.spotting.takes import (
    EnrollmentError,
    Take,
    Title,
    checked_wave,
    quality_remarks,
    titles_of,
    titles_with_more,
    warn_of,
    without_speech,
)

if TYPE_CHECKING:
    from earmark.models.speaker_encoder import SpeakerEncoder

FALSE_ACCEPTS = 0.05
"""Share of what other voices say that may pass, unless told otherwise."""

LONGEST_TAKE_S = 120.0
SHORTEST_S = 0.3  # of speech in a take
ENOUGH_S = 2.0  # of speech in all takes together
# Takes are of two voices when it is less sure than this that one part of them is the voice of the other.
LEAST_PROBABILITY = 0.02
MARGIN_S = 0.07  # around a spoken part, beside what `spoken_parts` leaves


@dataclass(frozen=True, eq=False)
class Speaker:
    """A voice, as a speaker encoder hears it.

    Attributes:
        name: as `names.clean_name` returns it; it is cleaned here.
        takes: the recordings, kept so that another speaker encoder can embed them.
        embeddings: shape (k, d), float32, rows of unit length.
        threshold: the score from which on a voice counts as this one.
        encoder: fingerprint of the speaker encoder that made the embeddings.
        created: when, ISO 8601 in UTC.
        false_accepts: what the threshold was chosen for; None where that is not known.
    """

    name: str
    takes: tuple[Take, ...]
    embeddings: NDArray[np.float32]
    threshold: float
    encoder: str
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    false_accepts: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_name(self.name, of="speaker"))
        if self.embeddings.ndim != 2 or not self.embeddings.size or not np.isfinite(self.embeddings).all():
            shape = self.embeddings.shape
            raise InputError(f"speaker '{self.name}': embeddings must be finite, shape (k, d), not {shape}")

    @property
    def prototype(self) -> NDArray[np.float32]:
        """The mean of the embeddings, made unit length; shape (d,)."""
        return unit_mean(self.embeddings)


@dataclass(frozen=True)
class Verdict:
    """How alike a voice is to a speaker's (cosine), how sure that is, and whether it counts as the same."""

    score: float
    probability: float
    is_same: bool


def enroll_speaker(
    name: str,
    waves: Sequence[ArrayLike],
    *,
    encoder: SpeakerEncoder | None = None,
    sources: Sequence[str] = (),
    false_accepts: float = FALSE_ACCEPTS,
) -> Speaker:
    """Learn a voice from one or more takes of any speech.

    Args:
        name: what to call the speaker.
        waves: the takes, each of shape (n,), 16 kHz, at most 120 s; ten seconds of speech in all are good. Takes of
            the keyword that the voice will guard help most.
        encoder: the shipped speaker encoder unless given.
        sources: where each take comes from, such as its file; for messages, and kept.
        false_accepts: share of other voices' words that may pass; sets the speaker's threshold.

    Returns:
        The speaker. What is wrong with a take, but not so wrong that it cannot be used, is in its `remarks`.

    Raises:
        InputError: the name cannot be used.
        EnrollmentError: there are no takes, or one is silent, holds no speech or less than 0.3 s of it, or is too long.
        AudioError: a take is no sound.

    Warns:
        TakeWarning: once for each remark.
    """
    name = clean_name(name, of="speaker")
    if not len(waves):
        raise EnrollmentError(f"{name}: no takes; record some seconds of speech")
    encoder = encoder or _shipped()
    point = _operating_point(encoder, false_accepts)
    return _speaker(name, waves, titles_of(name, len(waves), sources), encoder, point)


def extend_speaker(
    speaker: Speaker,
    waves: Sequence[ArrayLike],
    *,
    encoder: SpeakerEncoder | None = None,
    sources: Sequence[str] = (),
    false_accepts: float | None = None,
) -> Speaker:
    """A speaker with more takes.

    Args:
        speaker: made with any speaker encoder.
        waves: the takes that are new, as in `enroll_speaker`.
        encoder: the one to hear all takes now; the shipped one unless given.
        sources: where each new take comes from.
        false_accepts: as in `reembed_speaker`.

    Raises:
        EnrollmentError: as in `enroll_speaker`.
        AudioError: a take is no sound.

    Warns:
        TakeWarning: once for each remark.
    """
    encoder = encoder or _shipped()
    point = _operating_point(encoder, false_accepts, speaker)
    titles = titles_with_more(speaker.name, speaker.takes, len(waves), sources)
    return _speaker(speaker.name, [*(take.wave for take in speaker.takes), *waves], titles, encoder, point)


def reembed_speaker(speaker: Speaker, encoder: SpeakerEncoder, *, false_accepts: float | None = None) -> Speaker:
    """The same takes, heard by another speaker encoder.

    Args:
        speaker: made with any speaker encoder.
        encoder: the one to hear the takes now.
        false_accepts: as in `enroll_speaker`. Unless given, the threshold stays when the encoder is the same, and when
            another gives other scores it is set for the share of before, or the default where that is not known.
    """
    point = _operating_point(encoder, false_accepts, speaker)
    return replace(
        speaker,
        embeddings=_embedded(speaker.takes, encoder),
        threshold=point.threshold,
        encoder=encoder.fingerprint,
        false_accepts=point.rate,
    )


def _speaker(
    name: str,
    waves: Sequence[ArrayLike],
    titles: Sequence[Title],
    encoder: SpeakerEncoder,
    point: OperatingPoint,
) -> Speaker:
    takes = [_take(wave, title) for wave, title in zip(waves, titles, strict=True)]
    speech_s = sum(len(spoken(take.wave)) for take in takes) / SAMPLE_RATE
    if speech_s < ENOUGH_S:
        remark = f"{name}: only {speech_s:.1f} s of speech in all: record {ENOUGH_S:.0f} s or more, ten are good"
        takes[-1] = takes[-1].with_remark(remark)
    embeddings = _embedded(takes, encoder)
    odd, similarity = least_alike(embeddings)
    usual = encoder.calibration.threshold(FALSE_ACCEPTS)  # whatever was asked for: two voices are two voices
    if odd and encoder.calibration.probability(similarity, usual) < LEAST_PROBABILITY:
        first = next(title.number for row, title in enumerate(titles) if row not in odd)
        for row in odd:
            remark = (
                f"{titles[row]} sounds like another voice than take {first} (similarity {similarity:.2f}): whose is it?"
            )
            takes[row] = takes[row].with_remark(remark)
    warn_of(takes)
    return Speaker(
        name=name,
        takes=tuple(takes),
        embeddings=embeddings,
        threshold=point.threshold,
        encoder=encoder.fingerprint,
        false_accepts=point.rate,
    )


def least_alike(embeddings: NDArray[np.float32]) -> tuple[list[int], float]:
    """Where takes part into two voices, if they do: the rows of the fewer takes, and the cosine of both parts' sums.

    Each two takes are tried as the seeds of two parts, and the least similar parts are chosen. The fewer are those
    without row 0 where both are as many. A single take has no parts: no rows, and 1.

    >>> least_alike(np.float32([[1, 0], [0.8, 0.6], [0, 1], [1, 0]]))
    ([2], 0.2...)
    """
    rows: list[int] = []
    smallest = 1.0
    similar = embeddings @ embeddings.T
    for one in range(len(embeddings)):
        for other in range(one):
            nearer = similar[one] > similar[other]
            if not nearer.any():  # the same take twice
                continue
            parts = np.stack([embeddings[nearer].sum(axis=0), embeddings[~nearer].sum(axis=0)]).astype(np.float64)
            cosine = float(parts[0] @ parts[1] / max(float(np.prod(np.linalg.norm(parts, axis=1))), 1e-12))
            if cosine < smallest:
                is_fewer = 2 * nearer.sum() < len(nearer) or (2 * nearer.sum() == len(nearer) and not nearer[0])
                rows, smallest = np.flatnonzero(nearer if is_fewer else ~nearer).tolist(), cosine
    return rows, smallest


def _operating_point(
    encoder: SpeakerEncoder, false_accepts: float | None, known: Speaker | None = None
) -> OperatingPoint:
    return operating_point(
        encoder.calibration.threshold,
        false_accepts,
        default=FALSE_ACCEPTS,
        known=None if known is None else OperatingPoint(known.threshold, known.false_accepts),
        is_comparable=known is not None and known.encoder == encoder.fingerprint,
    )


def verify(speaker: Speaker, wave: ArrayLike, *, encoder: SpeakerEncoder | None = None) -> Verdict:
    """Compare the voice in a recording with a speaker's.

    Args:
        speaker: made with this encoder.
        wave: shape (n,), 16 kHz; pauses are left out.
        encoder: the shipped speaker encoder unless given.

    Raises:
        InputError: the speaker was enrolled with another speaker encoder.
        AudioError: the wave is no sound, or nobody speaks in it.
    """
    encoder = encoder or _shipped()
    check_speaker(speaker, encoder)
    checked = as_wave(wave)
    speech = spoken(checked)
    if not len(speech):
        raise AudioError("nobody speaks in the recording; record some seconds of speech")
    return judge(speaker, encoder.embed(speech), encoder)


def judge(speaker: Speaker, embedding: NDArray[np.float32], encoder: SpeakerEncoder) -> Verdict:
    """Compare the embedding of a voice, shape (d,), with a speaker's."""
    score = float(embedding @ speaker.prototype)
    probability = encoder.calibration.probability(score, speaker.threshold)
    return Verdict(score, probability, score >= speaker.threshold)


def check_speaker(speaker: Speaker, encoder: SpeakerEncoder) -> None:
    """Refuse a speaker whom another speaker encoder heard.

    Raises:
        InputError: it was another; the message says how to convert the speaker.
    """
    if speaker.encoder != encoder.fingerprint:
        raise InputError(
            f"speaker {speaker.name!r} was enrolled with speaker encoder {speaker.encoder[:12]}, not with "
            f"{encoder.name!r} ({encoder.fingerprint[:12]}); convert: earmark speakers reembed "
            f"--speaker-encoder {encoder.name}"
        )


def spoken(wave: Wave) -> Wave:
    """What is spoken in a wave, its pauses cut out; shape (m,), m <= n, 0 where nobody speaks."""
    pieces = []
    before = 0
    for part in spoken_parts(wave):
        start = max(before, round((part.start_s - MARGIN_S) * SAMPLE_RATE))
        before = min(len(wave), round((part.end_s + MARGIN_S) * SAMPLE_RATE))
        pieces.append(wave[start:before])
    return np.concatenate(pieces) if pieces else wave[:0]


def _take(given: ArrayLike, title: Title) -> Take:
    """Find the speech in a take and say what is wrong with it."""
    wave = checked_wave(given, title, LONGEST_TAKE_S, "cut a part out")
    parts = spoken_parts(wave)
    if not parts:
        raise without_speech(wave, title)
    speech_s = sum(part.end_s - part.start_s for part in parts)
    if speech_s < SHORTEST_S:
        raise EnrollmentError(f"{title} holds only {speech_s:.2f} s of speech: say something longer, 0.3 s or more")
    start_s, end_s = parts[0].start_s, parts[-1].end_s
    remarks = tuple(f"{title} {remark}" for remark in quality_remarks(wave, start_s, end_s))
    return Take(wave, start_s, end_s, title.source, remarks)


def _embedded(takes: Sequence[Take], encoder: SpeakerEncoder) -> NDArray[np.float32]:
    return encoder.embed_batch([spoken(take.wave) for take in takes])


def _shipped() -> SpeakerEncoder:
    from earmark.models.speaker_encoder import load_speaker_encoder

    return load_speaker_encoder()
