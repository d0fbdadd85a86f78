"""A take: one recording that is kept, and what can be wrong with it."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from earmark.core.audio import SAMPLE_RATE, AudioError, Wave, as_wave
from earmark.core.errors import InputError
from earmark.spotting.speech import signal_to_noise_db

NOISY_DB = 10.0
CLIPPED_LEVEL, CLIPPED_RUN, CLIPPED_SHARE = 0.98, 3, 0.001


class EnrollmentError(InputError):
    """A take that nothing can be learned from."""


class TakeWarning(UserWarning):
    """A take that was used, though a better one would serve better."""


@dataclass(frozen=True, eq=False)
class Take:
    """One recording, of a word or of a voice.

    Attributes:
        wave: shape (n,), the whole recording, silence around the speech included.
        start_s: where the word, or the first of the speech, begins, in seconds.
        end_s: where it ends, in seconds.
        source: where the recording came from, a file's name for example.
        remarks: what enrollment noticed about it.
    """

    wave: Wave
    start_s: float
    end_s: float
    source: str = ""
    remarks: tuple[str, ...] = ()

    def with_remark(self, remark: str) -> Self:
        """The take with one remark more."""
        return replace(self, remarks=(*self.remarks, remark))


@dataclass(frozen=True)
class Title:
    """What a take is called in a message: `take 2 (kitchen.wav)`."""

    number: int
    source: str = ""

    def __str__(self) -> str:
        return f"take {self.number} ({self.source})" if self.source else f"take {self.number}"


def titles_of(name: str, count: int, sources: Sequence[str], *, first: int = 1) -> list[Title]:
    """Titles for the takes of a keyword or speaker.

    Args:
        name: of the keyword or speaker, for messages.
        count: how many takes there are.
        sources: where each comes from, or none.
        first: number of the first.

    Raises:
        EnrollmentError: there are sources, but not as many as takes.
    """
    if sources and len(sources) != count:
        raise EnrollmentError(f"{name}: {count} takes but {len(sources)} sources; give one for each take, or none")
    return [Title(number, source) for number, source in enumerate(sources or [""] * count, start=first)]


def titles_with_more(name: str, takes: Sequence[Take], count: int, sources: Sequence[str]) -> list[Title]:
    """Titles for the takes that a keyword or speaker has, and for so many that are new; see `titles_of`."""
    earlier = titles_of(name, len(takes), [take.source for take in takes])
    return [*earlier, *titles_of(name, count, sources, first=len(takes) + 1)]


def warn_of(takes: Iterable[Take]) -> None:
    """Warn of each remark, as from the line that called what called this one's caller."""
    for take in takes:
        for remark in take.remarks:
            warnings.warn(remark, TakeWarning, stacklevel=4)


def checked_wave(given: ArrayLike, title: Title, longest_s: float, cure: str) -> Wave:
    """A take's sound, if it is sound and of a length that can be used.

    Args:
        given: shape (n,), 16 kHz.
        title: of the take, for messages.
        longest_s: how long it may be.
        cure: what to do when it is longer.

    Raises:
        AudioError: it is no sound.
        EnrollmentError: it is empty or too long.
    """
    try:
        wave = as_wave(given)
    except AudioError as error:
        raise AudioError(f"{title}: {error}") from error
    if not len(wave):
        raise EnrollmentError(f"{title} is empty: record it again")
    length_s = len(wave) / SAMPLE_RATE
    if length_s > longest_s:
        raise EnrollmentError(f"{title} is {length_s:.0f} s long: a take is at most {longest_s:.0f} s; {cure}")
    return wave


def without_speech(wave: Wave, title: Title) -> EnrollmentError:
    """What to raise when nobody speaks in a take."""
    problem = "silent: is the microphone muted?" if np.abs(wave).max() < 1e-3 else "without speech:"
    return EnrollmentError(f"{title} is {problem} record it again")


def quality_remarks(wave: Wave, start_s: float, end_s: float) -> list[str]:
    """What is wrong with the sound of a take, though it can be used: clipping, noise."""
    remarks = []
    if _clipped_share(wave[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]) > CLIPPED_SHARE:
        remarks.append("is clipped: record it with less gain, or from farther away")
    noise_db = signal_to_noise_db(wave)
    if noise_db is not None and noise_db < NOISY_DB:
        remarks.append(f"is noisy, about {noise_db:.0f} dB above the noise: record it nearer, or where it is quieter")
    return remarks


def _clipped_share(wave: Wave) -> float:
    """Share of the samples that stand in runs of three or more at full scale."""
    full = np.pad(np.abs(wave) >= CLIPPED_LEVEL, 1).astype(np.int8)
    edges = np.flatnonzero(np.diff(full))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= CLIPPED_RUN].sum()) / max(1, len(wave))
