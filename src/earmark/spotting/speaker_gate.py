"""The speaker gate: accepts a peak of a restricted keyword only if the voice is that of its speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from earmark.core.errors import InputError
from earmark.core.names import fold
from earmark.spotting.enrolled import check_encoder
from earmark.spotting.keyword import Keyword
from earmark.spotting.peaks import Peak
from earmark.spotting.recent_audio import RecentAudio
from earmark.spotting.speaker import Speaker, Verification, compare_voice, spoken

if TYPE_CHECKING:
    from earmark.models.speaker_encoder import SpeakerEncoder


class SpeakerGate:
    """Accepts a score peak of a restricted keyword if its speaker said it, and refuses the peak otherwise.

    Args:
        only_speakers: for each keyword, the name of its only speaker, or None.
        speakers: those speakers.
        speaker_encoder: the encoder of the speakers.
        recent: the latest audio of the stream, in which speech is searched around a peak.

    Raises:
        InputError: a speaker was enrolled with another speaker encoder.
    """

    def __init__(
        self,
        only_speakers: Sequence[str | None],
        speakers: Sequence[Speaker],
        speaker_encoder: SpeakerEncoder,
        recent: RecentAudio,
    ) -> None:
        for speaker in speakers:
            check_encoder(speaker, speaker_encoder)
        self._only = [None if name is None else fold(name) for name in only_speakers]
        self._speakers = {fold(speaker.name): speaker for speaker in speakers}
        self._encoder = speaker_encoder
        self._recent = recent
        self._refused: list[Peak] = []

    def admit(self, peak: Peak) -> Peak | None:
        """The peak with the score of its voice; None for another voice than the keyword's speaker."""
        name = self._only[peak.keyword]
        if name is None:
            return peak
        result = self._verify(name, peak)
        verified = replace(peak, speaker_score=result.score)
        if result.is_same:
            return verified
        self._refused.append(verified)
        return None

    def take_refused(self) -> list[Peak]:
        """The peaks that were refused since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def _verify(self, name: str, peak: Peak) -> Verification:
        """Compare the voice at a peak with a speaker.

        Only speech is embedded, as in enrollment: noise of the room or the microphone is the same for all speakers.
        """
        wave, _ = self._recent.around(peak.start, peak.stop)
        speech = spoken(wave)
        return compare_voice(self._speakers[name], wave, speech if len(speech) else wave, self._encoder)


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
