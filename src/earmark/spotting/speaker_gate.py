"""The gate of keywords that answer to one voice: keeps the last sound, and judges whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError
from earmark.core.names import fold
from earmark.spotting.keyword import Keyword
from earmark.spotting.speaker import Speaker, Verdict, check_speaker, judge, spoken

if TYPE_CHECKING:
    from earmark.models.speaker_encoder import SpeakerEncoder

MARGIN_S = 0.3
"""How far on either side of a detection the speech in it is looked for, in seconds."""


class Gate:
    """Judges the voice in stretches of one stream.

    Args:
        speakers: those whom the keywords answer to.
        encoder: which made them.
        lag_s: how much sound behind a stretch has surely been heard when it is judged, in seconds. No more of it is
            used, even where more is there: the answer must not depend on how the stream is cut.

    Raises:
        InputError: a speaker was enrolled with another speaker encoder.
    """

    def __init__(self, speakers: Sequence[Speaker], encoder: SpeakerEncoder, lag_s: float) -> None:
        for speaker in speakers:
            check_speaker(speaker, encoder)
        self._speakers = {fold(speaker.name): speaker for speaker in speakers}
        self._encoder = encoder
        self._after_s = min(MARGIN_S, lag_s)
        self._sound: Wave = np.zeros(0, np.float32)
        self._first = 0  # sample of the stream that the kept sound begins with

    def hear(self, chunk: Wave) -> None:
        """Keep the next sound, shape (n,)."""
        self._sound = np.concatenate([self._sound, chunk])

    def forget(self, before_s: float) -> None:
        """Keep only what a stretch that begins at this time, or later, needs."""
        gone = max(0, round((before_s - MARGIN_S) * SAMPLE_RATE)) - self._first
        if gone > 0:
            self._sound = self._sound[gone:].copy()  # a view would hold the whole chunk
            self._first += gone

    def judge(self, name: str, start_s: float, end_s: float) -> Verdict:
        """Compare the voice in a stretch of the kept sound with a speaker's.

        Only the speech in it and right around it is heard, as at enrollment: what a room or a microphone adds to the
        silence is the same for everybody, and makes voices alike.

        Args:
            name: of the speaker.
            start_s: where the stretch begins, in seconds of the stream.
            end_s: where it ends.
        """
        start = max(0, round((start_s - MARGIN_S) * SAMPLE_RATE)) - self._first
        stop = round((end_s + self._after_s) * SAMPLE_RATE) - self._first
        sound = self._sound[start:stop]
        speech = spoken(sound)
        return judge(self._speakers[fold(name)], self._encoder.embed(speech if len(speech) else sound), self._encoder)


def speakers_of(keywords: Sequence[Keyword], speakers: Sequence[Speaker]) -> list[Speaker]:
    """Those of the speakers to whom keywords answer, each once.

    Raises:
        InputError: a keyword answers to somebody who is not among the speakers.
    """
    known = {fold(speaker.name): speaker for speaker in speakers}
    needed = {}
    for keyword in keywords:
        if keyword.only_speaker is None:
            continue
        folded = fold(keyword.only_speaker)
        if folded not in known:
            raise InputError(
                f"keyword {keyword.name!r} answers to {keyword.only_speaker!r} alone, who is not among the speakers; "
                f"enroll the voice: earmark speakers enroll {keyword.only_speaker} FILE..., and pass it as speakers="
            )
        needed[folded] = known[folded]
    return list(needed.values())
