"""Enrollment of speakers: takes become a speaker, get more takes, and move to another speaker encoder."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.core.audio import AudioInput
from earmark.core.errors import InputError
from earmark.core.names import clean_name
from earmark.models.onnx_model import shipped_name
from earmark.spotting.enrolled import OperatingPoint, operating_point, with_embeddings
from earmark.spotting.speaker import Speaker, embed_voices, find_voice, remark_voices
from earmark.spotting.takes import EnrollmentError, TakeLabel, audio_list, take_labels, warn_of_remarks

if TYPE_CHECKING:
    from earmark.models.speaker_encoder import SpeakerEncoder


FALSE_ACCEPTS = 0.05
"""Default share of impostors that a speaker's threshold accepts."""


def enroll_speaker(
    name: str,
    takes: Sequence[AudioInput] | AudioInput,
    *,
    encoder: SpeakerEncoder | None = None,
    sources: Sequence[str] = (),
    false_accepts: float = FALSE_ACCEPTS,
) -> Speaker:
    """Make a speaker from one or more takes of any speech.

    Args:
        name: of the speaker.
        takes: waves of shape (n,), 16 kHz, or paths; each at most 120 s; ten seconds of speech in all are good. Takes
            of a keyword that is restricted to this speaker help most.
        encoder: the shipped speaker encoder by default.
        sources: origin of each take, kept and used in messages; the paths by default.
        false_accepts: share of impostors' words to accept; sets the speaker's threshold.

    Returns:
        The speaker. Problems of usable takes are in their `remarks`.

    Raises:
        InputError: the name is not valid, or the encoder is not calibrated for the rate.
        EnrollmentError: there are no takes, or one is silent, too long, or contains less than 0.3 s of speech.
        AudioError: a take is not audio.

    Warns:
        TakeWarning: once for each remark.
    """
    name, given = clean_name(name, of="speaker"), audio_list(takes)
    if not given:
        raise EnrollmentError(f"{name}: no takes; record some seconds of speech")
    encoder = _speaker_encoder(encoder)
    point = operating_point(encoder, false_accepts, FALSE_ACCEPTS)
    return _speaker(name, given, take_labels(name, given, sources), encoder, point)


def extend_speaker(
    speaker: Speaker,
    takes: Sequence[AudioInput] | AudioInput,
    *,
    encoder: SpeakerEncoder | None = None,
    sources: Sequence[str] = (),
    false_accepts: float | None = None,
) -> Speaker:
    """Add takes to a speaker.

    Args:
        speaker: made with any speaker encoder.
        takes: the new takes, as in `enroll_speaker`.
        encoder: embeds all takes; the shipped speaker encoder by default.
        sources: origin of each new take.
        false_accepts: as in `reembed_speaker`.

    Raises:
        EnrollmentError: as in `enroll_speaker`.
        AudioError: a take is not audio.

    Warns:
        TakeWarning: once for each remark.
    """
    encoder, given = _speaker_encoder(encoder), audio_list(takes)
    point = _speaker_point(speaker, encoder, false_accepts)
    labels = take_labels(speaker.name, given, sources, speaker.takes)
    return _speaker(speaker.name, [*(take.wave for take in speaker.takes), *given], labels, encoder, point)


def reembed_speaker(speaker: Speaker, encoder: SpeakerEncoder, *, false_accepts: float | None = None) -> Speaker:
    """Embed the takes of a speaker with another speaker encoder.

    Args:
        speaker: made with any speaker encoder.
        encoder: embeds the takes.
        false_accepts: as in `enroll_speaker`. By default the same encoder keeps the threshold, and another one gets the
            threshold for the speaker's rate, or for the default rate where that is unknown. For a speaker of the
            shipped encoder of an earlier version, it is the rate that the threshold had then.
    """
    point = _speaker_point(speaker, encoder, false_accepts)
    return with_embeddings(speaker, embed_voices(speaker.takes, encoder), encoder, point)


def convert_earlier_speakers(speakers: Iterable[Speaker], encoder: SpeakerEncoder) -> list[Speaker]:
    """Convert the speakers of the shipped encoder of an earlier version, as `reembed_speaker`; the others stay.

    Args:
        speakers: of any speaker encoders.
        encoder: to convert to; only the shipped one converts.
    """
    from earmark.models.speaker_encoder import EARLIER, SHIPPED

    if shipped_name(encoder.fingerprint) not in SHIPPED:
        return list(speakers)
    return [reembed_speaker(speaker, encoder) if speaker.encoder in EARLIER else speaker for speaker in speakers]


def converted_speakers(speakers: Sequence[Speaker], encoder: SpeakerEncoder) -> list[Speaker]:
    """Convert speakers of the shipped encoder of an earlier version, with one warning."""
    converted = convert_earlier_speakers(speakers, encoder)
    names = [repr(old.name) for old, new in zip(speakers, converted, strict=True) if old is not new]
    if names:
        warnings.warn(
            f"{', '.join(names)}: a voice of an earlier version, converted from the takes each time; "
            "convert once: earmark speakers reembed",
            stacklevel=3,
        )
    return converted


def _speaker_point(speaker: Speaker, encoder: SpeakerEncoder, rate: float | None) -> OperatingPoint:
    from earmark.models.speaker_encoder import EARLIER

    earlier = EARLIER.get(speaker.encoder)
    if rate is None and earlier is not None and speaker.encoder != encoder.fingerprint:
        known = speaker.rate
        is_own = known is None or not math.isclose(earlier.threshold(known), speaker.threshold, abs_tol=1e-3)
        rate = earlier.rate(speaker.threshold) if is_own else known
    return operating_point(encoder, rate, FALSE_ACCEPTS, speaker)


def _speaker(
    name: str,
    given: Sequence[AudioInput],
    labels: Sequence[TakeLabel],
    encoder: SpeakerEncoder,
    point: OperatingPoint,
) -> Speaker:
    found = [find_voice(take, label) for take, label in zip(given, labels, strict=True)]
    embeddings = embed_voices(found, encoder)
    takes = remark_voices(name, found, labels, embeddings, encoder, FALSE_ACCEPTS)
    warn_of_remarks(takes)
    return Speaker(
        name=name,
        takes=tuple(takes),
        embeddings=embeddings,
        threshold=point.threshold,
        encoder=encoder.fingerprint,
        rate=point.rate,
    )


def _speaker_encoder(given: SpeakerEncoder | None) -> SpeakerEncoder:
    if isinstance(given, str | Path):
        raise InputError(
            f"a SpeakerEncoder, not {given!r}; load it: earmark.load_speaker_encoder({str(given)!r})", key="encoder"
        )
    if given is not None:
        return given
    from earmark.models.speaker_encoder import load_speaker_encoder

    return load_speaker_encoder()
