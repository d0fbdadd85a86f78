"""Verification: whether a recording is the voice of a speaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.core.audio import AudioError, AudioInput, load
from earmark.spotting.enrolled import check_encoder
from earmark.spotting.speaker import Speaker, Verification, compare_voice, spoken
from earmark.spotting.speaker_enrollment import converted_speakers

if TYPE_CHECKING:
    from earmark.models.speaker_encoder import SpeakerEncoder


def verify(speaker: Speaker, recording: AudioInput, *, encoder: SpeakerEncoder | None = None) -> Verification:
    """Compare the voice in a recording with a speaker.

    Args:
        speaker: enrolled with this encoder.
        recording: shape (n,), 16 kHz, or a path; pauses are dropped.
        encoder: the shipped speaker encoder by default.

    Raises:
        InputError: the speaker was enrolled with another speaker encoder.
        AudioError: the recording is not audio, or contains no speech.
    """
    if encoder is None:
        from earmark.models.speaker_encoder import load_speaker_encoder

        encoder = load_speaker_encoder()
    (speaker,) = converted_speakers([speaker], encoder)
    check_encoder(speaker, encoder)
    wave = load(recording)
    speech = spoken(wave)
    if not len(speech):
        raise AudioError("the recording contains no speech; record some seconds of speech")
    return compare_voice(speaker, wave, speech, encoder)
