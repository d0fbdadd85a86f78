"""A take: one recording of a word or a voice, and remarks on its quality."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from earmark.core.audio import SAMPLE_RATE, AudioError, AudioInput, Wave, as_wave, duration_s, read
from earmark.core.errors import InputError, warn_user
from earmark.spotting.speech import signal_to_noise_db

NOISY_DB = 10.0
CLIPPED_LEVEL, CLIPPED_RUN, CLIPPED_SHARE = 0.98, 3, 0.001


class EnrollmentError(InputError):
    """A take that cannot be used, or no takes."""


class TakeWarning(UserWarning):
    """A take that is used, but should be recorded again."""


@dataclass(frozen=True, eq=False)
class Take:
    """One recording of a word or a voice.

    Attributes:
        wave: shape (n,), the whole recording, with the silence around the speech.
        start_s: start of the word, or of the first speech, in seconds.
        end_s: its end in seconds.
        source: origin of the recording, such as a file name.
        remarks: problems that enrollment found.
        doubts: those of the remarks after which the take should rather be left out; not kept in a store.
    """

    wave: Wave = field(repr=False)
    start_s: float
    end_s: float
    source: str = ""
    remarks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def with_remark(self, remark: str) -> Self:
        """The take with one more remark."""
        return replace(self, remarks=(*self.remarks, remark))

    def with_doubt(self, remark: str) -> Self:
        """The take with one more remark, which is a doubt."""
        return replace(self, remarks=(*self.remarks, remark), doubts=(*self.doubts, remark))


@dataclass(frozen=True)
class TakeLabel:
    """Name of a take in messages: `take 2 (kitchen.wav)`."""

    number: int
    source: str = ""

    def __str__(self) -> str:
        return f"take {self.number} ({self.source})" if self.source else f"take {self.number}"


def audio_list(takes: Sequence[AudioInput] | AudioInput) -> list[AudioInput]:
    """Takes as a list; a single path or wave becomes a list of one."""
    if isinstance(takes, str | Path) or (isinstance(takes, np.ndarray) and takes.ndim == 1 and takes.dtype != object):
        return [takes]
    try:
        return list(takes)  # type: ignore[arg-type]  # anything else is refused here
    except TypeError:
        raise EnrollmentError(f"takes: a list of waves or paths, not {type(takes).__name__}") from None


def take_labels(
    name: str, takes: Sequence[AudioInput], sources: Sequence[str], known: Sequence[Take] = ()
) -> list[TakeLabel]:
    """Labels for the known takes of a keyword or speaker, then for the new ones.

    Args:
        name: of the keyword or speaker, for messages.
        takes: the new takes.
        sources: origin of each new take; empty for the paths of the takes.
        known: takes that are enrolled already.

    Raises:
        EnrollmentError: there are sources, but not one for each take.
    """
    if sources and len(sources) != len(takes):
        raise EnrollmentError(
            f"{name}: {len(takes)} takes but {len(sources)} sources; give one source for each take, or none"
        )
    paths = [str(take) if isinstance(take, str | Path) else "" for take in takes]
    every = [*(take.source for take in known), *(sources or paths)]
    return [TakeLabel(number, source) for number, source in enumerate(every, start=1)]


def warn_of_remarks(takes: Iterable[Take]) -> None:
    """Emit one `TakeWarning` per remark, attributed to the user's call site."""
    for take in takes:
        for remark in take.remarks:
            warn_user(remark, TakeWarning)


def read_take(given: AudioInput, label: TakeLabel, longest_s: float, cure: str) -> Wave:
    """Wave of a take, read from its file if necessary.

    Args:
        given: shape (n,), 16 kHz, or a path.
        label: of the take, for messages.
        longest_s: the longest usable take, in seconds.
        cure: what to do with a longer one.

    Raises:
        AudioError: it is not audio.
        EnrollmentError: it is empty or too long.
    """
    if isinstance(given, str | Path):
        _check_length(duration_s(given), label, longest_s, cure)  # before a long file is read
        wave = read(given)
    else:
        try:
            wave = as_wave(given)
        except AudioError as error:
            raise AudioError(f"{label}: {error}") from error
    if not len(wave):
        raise EnrollmentError(f"{label} is empty: record it again")
    _check_length(len(wave) / SAMPLE_RATE, label, longest_s, cure)
    return wave


def _check_length(length_s: float, label: TakeLabel, longest_s: float, cure: str) -> None:
    if length_s > longest_s:
        raise EnrollmentError(f"{label} is {length_s:.0f} s long: a take is at most {longest_s:.0f} s; {cure}")


def no_speech(wave: Wave, label: TakeLabel) -> EnrollmentError:
    """The error for a take without speech."""
    problem = "silent: is the microphone muted?" if np.abs(wave).max() < 1e-3 else "without speech:"
    return EnrollmentError(f"{label} is {problem} record it again")


def quality_remarks(wave: Wave, start_s: float, end_s: float) -> list[str]:
    """Remarks on clipping and noise of a take whose speech is between two times."""
    remarks = []
    if _clipped_share(wave[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]) > CLIPPED_SHARE:
        remarks.append("is clipped: record it with less gain, or from farther away")
    noise_db = signal_to_noise_db(wave)
    if noise_db is not None and noise_db < NOISY_DB:
        remarks.append(f"is noisy, about {noise_db:.0f} dB above the noise: record it closer, or where it is quieter")
    return remarks


def _clipped_share(wave: Wave) -> float:
    """Share of the samples in runs of three or more at full scale."""
    full = np.pad(np.abs(wave) >= CLIPPED_LEVEL, 1).astype(np.int8)
    edges = np.flatnonzero(np.diff(full))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= CLIPPED_RUN].sum()) / max(1, len(wave))
