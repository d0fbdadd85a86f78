"""Enrollment: takes become a keyword, get more takes, and move to another encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.core.audio import AudioInput
from earmark.core.errors import InputError, warn_user
from earmark.core.names import clean_name
from earmark.core.progress import Progress, no_progress
from earmark.spotting.agreement import agree
from earmark.spotting.background import BackgroundChoice, with_threshold
from earmark.spotting.enrolled import OperatingPoint, operating_point, with_embeddings
from earmark.spotting.expectation import rare_detections
from earmark.spotting.keyword import (
    Keyword,
    agreed_takes,
    embed_words,
    find_word,
    remark_outliers,
    with_negatives,
    with_synthetic,
    with_verifier,
    word_length_s,
)
from earmark.spotting.keyword_calibration import KeywordCalibration
from earmark.spotting.parts import WHOLE
from earmark.spotting.takes import (
    EnrollmentError,
    Take,
    TakeLabel,
    TakeWarning,
    audio_list,
    take_labels,
    warn_of_remarks,
)
from earmark.spotting.word_remarks import remark_words

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

FALSE_ALARMS_PER_HOUR = 0.5
"""Default rate of false alarms per hour of a keyword."""


def enroll(
    name: str,
    takes: Sequence[AudioInput] | AudioInput = (),
    *,
    synthetic: Sequence[Take] = (),
    encoder: Encoder | None = None,
    sources: Sequence[str] = (),
    false_alarms_per_hour: float = FALSE_ALARMS_PER_HOUR,
    only_speaker: str | None = None,
    background: BackgroundChoice = "shipped",
    verify: bool = True,
    progress: Progress = no_progress,
) -> Keyword:
    """Make a keyword from one or more takes; five are good.

    A take may contain silence or noise around the word. The encoder gets them as context, as in a stream, but only the
    spoken part is embedded.

    Args:
        name: of the keyword; need not be the word.
        takes: waves of shape (n,), 16 kHz, or paths; each at most 30 s. None are needed with synthetic takes.
        synthetic: the typed word in synthetic voices, from `synthesize_takes`. Together they count as 1.5 takes.
        encoder: the shipped one by default.
        sources: origin of each take, kept and used in messages; the paths by default.
        false_alarms_per_hour: expected rate in audio without the word; sets the keyword's threshold.
        only_speaker: name of the only speaker who may trigger the keyword, see `enroll_speaker`.
        background: audio without the word, on which the threshold is measured; by default 107 minutes that ship with
            earmark. None takes the threshold of all keywords from the card of the encoder, without measuring.
        verify: whether the keyword can be detected with the verifier, where it is installed and there is a background.
        progress: called while the threshold is measured, and before that once for each encoder with seconds of the
            background.

    Returns:
        The keyword. Problems of usable takes are in their `remarks`; those after which a take should rather be left out
        are in their `doubts` too.

    Raises:
        InputError: the name is not valid, or the encoder is not calibrated for the rate.
        EnrollmentError: there are no takes, or one is silent, too long, or contains less than 0.2 s of speech.
        AudioError: a take is not audio.

    Warns:
        TakeWarning: once for each remark on a take, and where the keyword will rarely be detected.
    """
    name, given = clean_name(name), audio_list(takes)
    if not given and not synthetic:
        raise EnrollmentError(f"{name}: no takes; record the word one to ten times, or type it: earmark enroll --say")
    encoder = _encoder(encoder)
    point = operating_point(encoder, false_alarms_per_hour, FALSE_ALARMS_PER_HOUR)
    labels = take_labels(name, given, sources)
    keyword = _keyword(name, given, labels, synthetic, encoder, point, only_speaker)
    return _remarked(_calibrated(keyword, encoder, point, background, verify, progress), labels)


def extend(
    keyword: Keyword,
    takes: Sequence[AudioInput] | AudioInput = (),
    *,
    synthetic: Sequence[Take] = (),
    encoder: Encoder | None = None,
    sources: Sequence[str] = (),
    false_alarms_per_hour: float | None = None,
    background: BackgroundChoice = "shipped",
    verify: bool = True,
    progress: Progress = no_progress,
) -> Keyword:
    """Add takes to a keyword.

    Args:
        keyword: made with any encoder; its speaker restriction and negatives stay.
        takes: the new takes, as in `enroll`.
        synthetic: take the place of the keyword's synthetic takes, which stay by default.
        encoder: embeds all takes; the shipped one by default.
        sources: origin of each new take.
        false_alarms_per_hour: as in `reembed`.
        background: as in `enroll`.
        verify: as in `enroll`; a keyword of an earlier version gets the verifier too.
        progress: as in `enroll`.

    Raises:
        EnrollmentError: as in `enroll`.
        AudioError: a take is not audio.

    Warns:
        TakeWarning: once for each remark.
    """
    encoder, given = _encoder(encoder), audio_list(takes)
    point = _operating_point(keyword, encoder, false_alarms_per_hour)
    labels = take_labels(keyword.name, given, sources, keyword.takes)
    every = [*(take.wave for take in keyword.takes), *given]
    spoken = synthetic or keyword.synthetic
    longer = _keyword(keyword.name, every, labels, spoken, encoder, point, keyword.only_speaker)
    longer = replace(longer, calibration=_known_calibration(keyword, encoder))
    longer = with_negatives(longer, keyword.negatives, encoder)
    return _remarked(_calibrated(longer, encoder, point, background, verify, progress), labels)


def reembed(
    keyword: Keyword,
    encoder: Encoder,
    *,
    false_alarms_per_hour: float | None = None,
    background: BackgroundChoice = "shipped",
    verify: bool = True,
    progress: Progress = no_progress,
) -> Keyword:
    """Embed the takes of a keyword with another encoder, or those of a keyword of an earlier version again.

    Args:
        keyword: made with any encoder.
        encoder: embeds the takes.
        false_alarms_per_hour: as in `enroll`. By default the keyword's rate. Where that is unknown, the same encoder
            keeps the threshold, and another one gets the threshold for the default rate. A keyword of an earlier
            version gets the threshold for the rate that its threshold had then.
        background: as in `enroll`.
        verify: as in `extend`.
        progress: as in `enroll`.
    """
    point = _operating_point(keyword, encoder, false_alarms_per_hour)
    parts = embed_words(keyword.takes, encoder)
    known = replace(keyword, calibration=_known_calibration(keyword, encoder))
    changed = replace(with_embeddings(known, parts[:, WHOLE], encoder, point), parts=parts, verifier=None)
    changed = with_negatives(with_synthetic(changed, keyword.synthetic, encoder), keyword.negatives, encoder)
    return _calibrated(changed, encoder, point, background, verify, progress)


def convert_earlier(
    keywords: Iterable[Keyword],
    encoder: Encoder,
    *,
    background: BackgroundChoice = "shipped",
    progress: Progress = no_progress,
) -> list[Keyword]:
    """Convert the keywords that an earlier version enrolled with this encoder, as `reembed`; the others stay."""
    return [
        reembed(keyword, encoder, background=background, progress=progress)
        if keyword.parts is None and keyword.encoder == encoder.fingerprint
        else keyword
        for keyword in keywords
    ]


def _keyword(
    name: str,
    given: Sequence[AudioInput],
    labels: Sequence[TakeLabel],
    synthetic: Sequence[Take],
    encoder: Encoder,
    point: OperatingPoint,
    only_speaker: str | None,
) -> Keyword:
    alone = [find_word(take, label) for take, label in zip(given, labels, strict=True)]
    frames = [encoder.frames(take.wave) for take in alone]
    agreements = agree(frames, [(take.start_s, take.end_s) for take in alone], encoder.hop_s)
    found = remark_words(agreed_takes(alone, agreements), agreements, frames, encoder, labels)
    parts = embed_words(found, encoder, frames)
    return Keyword(
        name=name,
        takes=tuple(found),
        embeddings=parts[:, WHOLE],
        parts=parts,
        threshold=point.threshold,
        encoder=encoder.fingerprint,
        rate=point.rate,
        duration_s=word_length_s(found, synthetic),
        synthetic=tuple(synthetic),
        synthetic_parts=embed_words(synthetic, encoder) if synthetic else None,
        only_speaker=only_speaker,
    )


def _remarked(keyword: Keyword, labels: Sequence[TakeLabel]) -> Keyword:
    """The keyword with remarks on takes that are unlike the others; warns of all remarks, and of rare detections."""
    takes = remark_outliers(keyword, labels)
    warn_of_remarks(takes)
    if note := rare_detections(keyword):
        warn_user(note, TakeWarning)
    return replace(keyword, takes=tuple(takes))


def _operating_point(keyword: Keyword, encoder: Encoder, rate: float | None) -> OperatingPoint:
    if rate is None and keyword.parts is None and keyword.encoder == encoder.fingerprint:
        # The scores of an earlier version were others, so its threshold does not stay, but the rate of it.
        rate = encoder.calibration.rate(keyword.threshold) if keyword.rate is None else keyword.rate
    return operating_point(encoder, rate, FALSE_ALARMS_PER_HOUR, keyword)


def _known_calibration(keyword: Keyword, encoder: Encoder) -> KeywordCalibration:
    """What is known about the scores of a keyword; nothing where another encoder scores it from now on."""
    return keyword.calibration if keyword.encoder == encoder.fingerprint else KeywordCalibration()


def _calibrated(
    keyword: Keyword,
    encoder: Encoder,
    point: OperatingPoint,
    background: BackgroundChoice,
    verify: bool,
    progress: Progress,
) -> Keyword:
    """The keyword with the threshold for its rate; an unknown rate keeps the threshold."""
    if point.rate is None:
        return with_verifier(keyword) if verify and keyword.calibration.verifier is not None else keyword
    return with_threshold(keyword, encoder, point.rate, background, verify=verify, progress=progress)


def _encoder(given: Encoder | None) -> Encoder:
    if isinstance(given, str | Path):
        raise InputError(f"an Encoder, not {given!r}; load it: earmark.load_encoder({str(given)!r})", key="encoder")
    if given is not None:
        return given
    from earmark.models.encoder import load_encoder

    return load_encoder()
