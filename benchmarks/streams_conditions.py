"""Conditions under which wake words are tested again: noise, level, tempo, a room, clipping."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from streams_audio import Spoken, active_level_db, at_tempo, cut, drawn, over, scaled_db

from earmark import audio
from earmark.core.audio import Wave
from earmark.data.manifest import read_manifest

PieceChange = Callable[[Wave, Spoken, np.random.Generator], Wave]


def same_clip(wave: Wave) -> Wave:
    """The clip as it is."""
    return wave


def same_piece(wave: Wave, _: Spoken, __: np.random.Generator) -> Wave:
    """The part of the stream as it is."""
    return wave


@dataclass(frozen=True)
class Condition:
    """A change of the audio.

    Attributes:
        name: shown on the page.
        of_clip: changes the clip before its word is found.
        of_piece: changes the clip with the speech before it, by the place of the word in it.
    """

    name: str
    of_clip: Callable[[Wave], Wave] = same_clip
    of_piece: PieceChange = same_piece


def in_noise(noises: list[Wave], snr_db: float) -> PieceChange:
    """Add noise to the speech, at a ratio to the level of the word."""

    def change(wave: Wave, spoken: Spoken, generator: np.random.Generator) -> Wave:
        noise = drawn(noises[int(generator.integers(len(noises)))], len(wave), generator)
        return over(wave, noise, snr_db, active_level_db(cut(wave, spoken)))

    return change


def at_level(level_db: float) -> PieceChange:
    """Scale the speech so that the word has a level, in dB relative to full scale."""

    def change(wave: Wave, spoken: Spoken, _: np.random.Generator) -> Wave:
        return scaled_db(wave, level_db - active_level_db(cut(wave, spoken)))

    return change


def clipped(gain_db: float) -> PieceChange:
    """Clip the speech: its peak would be `gain_db` above full scale."""

    def change(wave: Wave, _: Spoken, __: np.random.Generator) -> Wave:
        return np.clip(wave / (np.abs(wave).max() + 1e-9) * 10 ** (gain_db / 20), -1, 1).astype(np.float32)

    return change


def in_room(responses: list[Wave]) -> PieceChange:
    """Convolve the speech with one of some impulse responses, whose direct sound keeps its time and level."""

    def change(wave: Wave, _: Spoken, generator: np.random.Generator) -> Wave:
        response = responses[int(generator.integers(len(responses)))]
        direct = int(np.abs(response).argmax())
        size = len(wave) + len(response)
        product = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)
        return (product[direct : direct + len(wave)] / abs(response[direct]) * 0.5).astype(np.float32)

    return change


def conditions(noises: list[Wave], rooms: Path) -> list[Condition]:
    """All conditions; the first one changes nothing."""
    clips = [clip for clip in read_manifest(rooms / "manifest.tsv") if "Anechoic" not in clip.label]
    responses = [audio.read(rooms / clip.path) for clip in sorted(clips, key=lambda clip: clip.path)[::8]]
    return [
        Condition("as recorded"),
        *(Condition(f"SNR {snr_db} dB", of_piece=in_noise(noises, snr_db)) for snr_db in (20, 10, 5, 0)),
        *(Condition(f"level {level_db} dBFS", of_piece=at_level(level_db)) for level_db in (-20, -40, -60)),
        *(Condition(f"tempo × {tempo:g}", of_clip=partial(at_tempo, tempo=tempo)) for tempo in (0.75, 0.87, 1.15, 1.3)),
        Condition("room", of_piece=in_room(responses)),
        Condition("clipped, 20 dB", of_piece=clipped(20)),
    ]
