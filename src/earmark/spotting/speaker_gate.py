"""The speaker gate: accepts a peak of a restricted keyword only if the voice is that of its speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError
from earmark.core.names import fold
from earmark.spotting.enrolled import check_encoder
from earmark.spotting.keyword import Keyword
from earmark.spotting.peaks import Peak
from earmark.spotting.speaker import Speaker, Verification, compare_voice, spoken

if TYPE_CHECKING:
    from earmark.models.speaker_encoder import SpeakerEncoder

MARGIN_S = 0.3
"""Audio on each side of a peak in which speech is searched, in seconds."""


class SpeakerGate:
    """Accepts a score peak of a restricted keyword if its speaker said it, and refuses the peak otherwise.

    Keeps the latest audio of the stream, to embed the voice at a peak.

    Args:
        only_speakers: for each keyword, the name of its only speaker, or None.
        speakers: those speakers.
        speaker_encoder: the encoder of the speakers.
        lag_s: audio after a peak that is always known when the peak closes, in seconds.

    Raises:
        InputError: a speaker was enrolled with another speaker encoder.
    """

    def __init__(
        self,
        only_speakers: Sequence[str | None],
        speakers: Sequence[Speaker],
        speaker_encoder: SpeakerEncoder,
        lag_s: float,
    ) -> None:
        for speaker in speakers:
            check_encoder(speaker, speaker_encoder)
        self._only = [None if name is None else fold(name) for name in only_speakers]
        self._speakers = {fold(speaker.name): speaker for speaker in speakers}
        self._encoder = speaker_encoder
        # No more audio after a peak than is always known: the result must not depend on the chunking.
        self._after_s = min(MARGIN_S, lag_s)
        self._wave: Wave = np.zeros(0, np.float32)
        self._first = 0  # sample of the stream at which the kept audio begins
        self._refused: list[Peak] = []

    @property
    def kept_s(self) -> float:
        """Length of the kept audio in seconds."""
        return len(self._wave) / SAMPLE_RATE

    def push(self, chunk: Wave) -> None:
        """Keep the next audio, shape (n,)."""
        self._wave = np.concatenate([self._wave, chunk])

    def drop(self, before: int) -> None:
        """Drop audio that no peak needs that begins at this sample or later."""
        gone = max(0, before - round(MARGIN_S * SAMPLE_RATE)) - self._first
        if gone > 0:
            self._wave = self._wave[gone:].copy()  # a view would hold the whole chunk
            self._first += gone

    def admit(self, peak: Peak) -> Peak | None:
        """The peak with the score of its voice; None for another voice than the keyword's speaker."""
        name = self._only[peak.keyword]
        if name is None:
            return peak
        result = self._verify(name, max(0, peak.start) / SAMPLE_RATE, peak.stop / SAMPLE_RATE)
        verified = replace(peak, speaker_score=result.score)
        if result.is_same:
            return verified
        self._refused.append(verified)
        return None

    def take_refused(self) -> list[Peak]:
        """The peaks that were refused since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def _verify(self, name: str, start_s: float, end_s: float) -> Verification:
        """Compare the voice in a span of the kept audio with a speaker.

        Only speech is embedded, as in enrollment: noise of the room or the microphone is the same for all speakers.
        """
        start = max(0, round((start_s - MARGIN_S) * SAMPLE_RATE)) - self._first
        stop = round((end_s + self._after_s) * SAMPLE_RATE) - self._first
        wave = self._wave[start:stop]
        speech = spoken(wave)
        embedding = self._encoder.embed(speech if len(speech) else wave)
        return compare_voice(self._speakers[name], embedding, self._encoder)


def required_speakers(keywords: Sequence[Keyword], speakers: Sequence[Speaker] | Speaker) -> list[Speaker]:
    """The speakers to whom keywords are restricted, each once.

    Raises:
        InputError: one of them is missing.
    """
    given = [speakers] if isinstance(speakers, Speaker) else speakers
    known = {fold(speaker.name): speaker for speaker in given}
    needed = {}
    for keyword in keywords:
        if keyword.only_speaker is None:
            continue
        folded = fold(keyword.only_speaker)
        if folded not in known:
            raise InputError(
                f"keyword {keyword.name!r} is restricted to {keyword.only_speaker!r}, who is missing; enroll the "
                f"speaker: earmark speakers enroll {keyword.only_speaker} FILE...",
                key="speakers",
            )
        needed[folded] = known[folded]
    return list(needed.values())
