"""A speaker: a voice to recognize, how its takes become embeddings, and how voices are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, AudioInput, Wave
from earmark.core.vectors import cosine
from earmark.spotting.enrolled import Enrolled
from earmark.spotting.speech import signal_to_noise_db, spoken_parts
from earmark.spotting.takes import EnrollmentError, Take, TakeLabel, no_speech, quality_remarks, read_take

if TYPE_CHECKING:
    from earmark.models.speaker_encoder import SpeakerEncoder

Floats = NDArray[np.float32]

LONGEST_TAKE_S = 120.0
SHORTEST_S = 0.3  # of speech in a take
ENOUGH_S = 2.0  # of speech in all takes together
# Takes are of two voices when the probability that both groups are one voice is below this.
LEAST_PROBABILITY = 0.02
MARGIN_S = 0.07  # around a spoken part, beside the margin of `spoken_parts`


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Speaker(Enrolled):
    """A voice to recognize."""

    noun: ClassVar[str] = "speaker"

    @cached_property
    def speech_s(self) -> float:
        """Speech in the takes, in seconds."""
        return _speech_s(self.takes)


@dataclass(frozen=True)
class Verification:
    """Result of comparing a voice with a speaker.

    Attributes:
        score: cosine similarity of the embeddings, converted to that of one second of speech without noise where the
            card of the encoder tells how (`ImpostorScores`).
        probability: calibrated probability of the same voice.
        is_same: whether the score reaches the speaker's threshold.
    """

    score: float
    probability: float
    is_same: bool


def compare_voice(speaker: Speaker, wave: Wave, speech: Wave, encoder: SpeakerEncoder) -> Verification:
    """Compare the voice in a wave with a speaker.

    Args:
        speaker: enrolled with this encoder.
        wave: shape (n,), 16 kHz; its pauses tell how loud the noise is.
        speech: what is embedded of it, shape (m,).
        encoder: of the speaker.
    """
    score = float(encoder.embed(speech) @ speaker.prototype)
    calibration = encoder.calibration
    if calibration.impostors is not None:
        snr_db = signal_to_noise_db(wave)
        noise_free = np.inf if snr_db is None else snr_db
        length_s = len(speech) / SAMPLE_RATE
        score = float(calibration.impostors.normalized(score, length_s, speaker.speech_s, noise_free))
    probability = calibration.probability(score, speaker.threshold)
    return Verification(score, probability, score >= speaker.threshold)


def spoken(wave: Wave) -> Wave:
    """The speech of a wave without pauses; shape (m,), m <= n, 0 where there is no speech."""
    pieces = []
    before = 0
    for part in spoken_parts(wave):
        start = max(before, round((part.start_s - MARGIN_S) * SAMPLE_RATE))
        before = min(len(wave), round((part.end_s + MARGIN_S) * SAMPLE_RATE))
        pieces.append(wave[start:before])
    return np.concatenate(pieces) if pieces else wave[:0]


def _speech_s(takes: Sequence[Take]) -> float:
    """Speech in takes, in seconds."""
    return sum(len(spoken(take.wave)) for take in takes) / SAMPLE_RATE


def find_voice(given: AudioInput, label: TakeLabel) -> Take:
    """Find the speech in a take, and remark on its quality.

    Raises:
        AudioError: the take is not audio.
        EnrollmentError: it is too long, or contains too little speech.
    """
    wave = read_take(given, label, LONGEST_TAKE_S, "cut a part out")
    parts = spoken_parts(wave)
    if not parts:
        raise no_speech(wave, label)
    speech_s = sum(part.end_s - part.start_s for part in parts)
    if speech_s < SHORTEST_S:
        raise EnrollmentError(f"{label} contains only {speech_s:.2f} s of speech: say something longer, 0.3 s or more")
    start_s, end_s = parts[0].start_s, parts[-1].end_s
    remarks = tuple(f"{label} {remark}" for remark in quality_remarks(wave, start_s, end_s))
    return Take(wave, start_s, end_s, label.source, remarks)


def embed_voices(takes: Sequence[Take], encoder: SpeakerEncoder) -> Floats:
    """Embed the voice of each take, shape (k, d)."""
    return encoder.embed_batch([spoken(take.wave) for take in takes])


def remark_voices(
    name: str,
    takes: Sequence[Take],
    labels: Sequence[TakeLabel],
    embeddings: Floats,
    encoder: SpeakerEncoder,
    false_accepts: float,
) -> list[Take]:
    """The takes, with remarks on too little speech and on takes of a second voice.

    Args:
        name: of the speaker.
        takes: see embeddings.
        labels: of the takes.
        embeddings: of the takes, shape (k, d).
        encoder: made the embeddings.
        false_accepts: the usual rate, whatever rate the speaker is enrolled for: two voices are two voices.
    """
    remarked = list(takes)
    speech_s = _speech_s(takes)
    if speech_s < ENOUGH_S:
        remark = f"{name}: only {speech_s:.1f} s of speech in all: record {ENOUGH_S:.0f} s or more, ten are good"
        remarked[-1] = remarked[-1].with_remark(remark)
    odd, similarity = split_voices(embeddings)
    calibration = encoder.calibration
    score = similarity
    if odd and calibration.impostors is not None:
        odd_s = _speech_s([takes[row] for row in odd])
        score = float(calibration.impostors.normalized(similarity, odd_s, speech_s - odd_s, np.inf))
    if odd and calibration.probability(score, calibration.threshold(false_accepts)) < LEAST_PROBABILITY:
        first = next(label.number for row, label in enumerate(labels) if row not in odd)
        for row in odd:
            remark = (
                f"{labels[row]} sounds like another voice than take {first} (similarity {similarity:.2f}): "
                "leave it out, or record it again"
            )
            remarked[row] = remarked[row].with_remark(remark)
    return remarked


def split_voices(embeddings: Floats) -> tuple[list[int], float]:
    """Split takes into the two least similar groups: the rows of the smaller group, and the cosine of the group sums.

    Every pair of takes is tried as the seeds of two groups. Of groups of equal size, the one without row 0 is returned.
    A single take cannot be split: no rows, and 1.

    >>> split_voices(np.float32([[1, 0], [0.8, 0.6], [0, 1], [1, 0]]))
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
            sums = np.stack([embeddings[nearer].sum(axis=0), embeddings[~nearer].sum(axis=0)]).astype(np.float64)
            similarity = float(cosine(sums[:1], sums[1:])[0, 0])
            if similarity < smallest:
                is_fewer = 2 * nearer.sum() < len(nearer) or (2 * nearer.sum() == len(nearer) and not nearer[0])
                rows, smallest = np.flatnonzero(nearer if is_fewer else ~nearer).tolist(), similarity
    return rows, smallest
