"""Enrollment: takes become a keyword or a speaker, get more takes, and move to another encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.core.audio import AudioInput
from earmark.core.errors import InputError
from earmark.core.names import clean_name
from earmark.spotting.enrolled import OperatingPoint, operating_point, with_embeddings
from earmark.spotting.keyword import Keyword, embed_words, find_word, remark_outliers, word_length_s
from earmark.spotting.speaker import Speaker, embed_voices, find_voice, remark_voices
from earmark.spotting.takes import EnrollmentError, TakeLabel, audio_list, take_labels, warn_of_remarks

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder

FALSE_ALARMS_PER_HOUR = 1.0
"""Default rate of false alarms per hour of a keyword."""

FALSE_ACCEPTS = 0.05
"""Default share of impostors that a speaker's threshold accepts."""


def enroll(
    name: str,
    takes: Sequence[AudioInput] | AudioInput,
    *,
    encoder: Encoder | None = None,
    sources: Sequence[str] = (),
    false_alarms_per_hour: float = FALSE_ALARMS_PER_HOUR,
    only_speaker: str | None = None,
) -> Keyword:
    """Make a keyword from one or more takes; five are good.

    A take may contain silence or noise around the word. The encoder gets them as context, as in a stream, but only the
    spoken part is embedded.

    Args:
        name: of the keyword; need not be the word.
        takes: waves of shape (n,), 16 kHz, or paths; each at most 30 s.
        encoder: the shipped one by default.
        sources: origin of each take, kept and used in messages; the paths by default.
        false_alarms_per_hour: expected rate in audio without the word; sets the keyword's threshold.
        only_speaker: name of the only speaker who may trigger the keyword, see `enroll_speaker`.

    Returns:
        The keyword. Problems of usable takes are in their `remarks`.

    Raises:
        InputError: the name is not valid, or the encoder is not calibrated for the rate.
        EnrollmentError: there are no takes, or one is silent, too long, or contains less than 0.2 s of speech.
        AudioError: a take is not audio.

    Warns:
        TakeWarning: once for each remark.
    """
    name, given = clean_name(name), audio_list(takes)
    if not given:
        raise EnrollmentError(f"{name}: no takes; record the word one to ten times")
    encoder = _encoder(encoder)
    point = operating_point(encoder, false_alarms_per_hour, FALSE_ALARMS_PER_HOUR)
    return _keyword(name, given, take_labels(name, given, sources), encoder, point, only_speaker)


def extend(
    keyword: Keyword,
    takes: Sequence[AudioInput] | AudioInput,
    *,
    encoder: Encoder | None = None,
    sources: Sequence[str] = (),
    false_alarms_per_hour: float | None = None,
) -> Keyword:
    """Add takes to a keyword.

    Args:
        keyword: made with any encoder; its speaker restriction stays.
        takes: the new takes, as in `enroll`.
        encoder: embeds all takes; the shipped one by default.
        sources: origin of each new take.
        false_alarms_per_hour: as in `reembed`.

    Raises:
        EnrollmentError: as in `enroll`.
        AudioError: a take is not audio.

    Warns:
        TakeWarning: once for each remark.
    """
    encoder, given = _encoder(encoder), audio_list(takes)
    point = operating_point(encoder, false_alarms_per_hour, FALSE_ALARMS_PER_HOUR, keyword)
    labels = take_labels(keyword.name, given, sources, keyword.takes)
    every = [*(take.wave for take in keyword.takes), *given]
    return _keyword(keyword.name, every, labels, encoder, point, keyword.only_speaker)


def reembed(keyword: Keyword, encoder: Encoder, *, false_alarms_per_hour: float | None = None) -> Keyword:
    """Embed the takes of a keyword with another encoder.

    Args:
        keyword: made with any encoder.
        encoder: embeds the takes.
        false_alarms_per_hour: as in `enroll`. By default the same encoder keeps the threshold, and another one gets the
            threshold for the keyword's rate, or for the default rate where that is unknown.
    """
    point = operating_point(encoder, false_alarms_per_hour, FALSE_ALARMS_PER_HOUR, keyword)
    return with_embeddings(keyword, embed_words(keyword.takes, encoder), encoder, point)


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
    point = operating_point(encoder, false_accepts, FALSE_ACCEPTS, speaker)
    labels = take_labels(speaker.name, given, sources, speaker.takes)
    return _speaker(speaker.name, [*(take.wave for take in speaker.takes), *given], labels, encoder, point)


def reembed_speaker(speaker: Speaker, encoder: SpeakerEncoder, *, false_accepts: float | None = None) -> Speaker:
    """Embed the takes of a speaker with another speaker encoder.

    Args:
        speaker: made with any speaker encoder.
        encoder: embeds the takes.
        false_accepts: as in `enroll_speaker`. By default the same encoder keeps the threshold, and another one gets the
            threshold for the speaker's rate, or for the default rate where that is unknown.
    """
    point = operating_point(encoder, false_accepts, FALSE_ACCEPTS, speaker)
    return with_embeddings(speaker, embed_voices(speaker.takes, encoder), encoder, point)


def _keyword(
    name: str,
    given: Sequence[AudioInput],
    labels: Sequence[TakeLabel],
    encoder: Encoder,
    point: OperatingPoint,
    only_speaker: str | None,
) -> Keyword:
    found = [find_word(take, label) for take, label in zip(given, labels, strict=True)]
    embeddings = embed_words(found, encoder)
    takes = remark_outliers(found, labels, embeddings, point.threshold)
    warn_of_remarks(takes)
    return Keyword(
        name=name,
        takes=tuple(takes),
        embeddings=embeddings,
        threshold=point.threshold,
        encoder=encoder.fingerprint,
        rate=point.rate,
        duration_s=word_length_s(takes),
        only_speaker=only_speaker,
    )


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


def _encoder(given: Encoder | None) -> Encoder:
    if isinstance(given, str | Path):
        raise InputError(f"an Encoder, not {given!r}; load it: earmark.load_encoder({str(given)!r})", key="encoder")
    if given is not None:
        return given
    from earmark.models.encoder import load_encoder

    return load_encoder()


def _speaker_encoder(given: SpeakerEncoder | None) -> SpeakerEncoder:
    if isinstance(given, str | Path):
        raise InputError(
            f"a SpeakerEncoder, not {given!r}; load it: earmark.load_speaker_encoder({str(given)!r})", key="encoder"
        )
    if given is not None:
        return given
    from earmark.models.speaker_encoder import load_speaker_encoder

    return load_speaker_encoder()
