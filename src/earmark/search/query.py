"""What is looked for: a word, as an encoder hears it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError
from earmark.search.windows import LONGEST_S
from earmark.spotting.keyword import Keyword, embed_part
from earmark.spotting.speech import find_speech

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

SHORTEST_S = 0.1
LONGEST_TAKE_S = 60.0


@dataclass(frozen=True, eq=False)
class Query:
    """A word to look for.

    Attributes:
        name: what results are called.
        vector: shape (d,), unit length.
        duration_s: how long the word lasts, in seconds.
        encoder: fingerprint of the encoder that made the vector.
    """

    name: str
    vector: NDArray[np.float32]
    duration_s: float
    encoder: str


@dataclass(frozen=True)
class Take:
    """A recording of the word.

    Attributes:
        path: the sound file.
        start_s: where the word begins; None: where speech is found.
        end_s: where it ends; None: where speech is found, or the end of the file where `start_s` is given.
    """

    path: Path
    start_s: float | None = None
    end_s: float | None = None


def query_of(name: str, takes: Sequence[Take], encoder: Encoder) -> Query:
    """Make a query of one or more takes of a word: the mean of their unit vectors, and of how long they last.

    Args:
        name: what results are called.
        takes: one works, several by several voices find more.
        encoder: the one that made the index.

    Raises:
        AudioError: a take is missing or not sound.
        InputError: no take, or one holds no speech, less than 0.1 s or more than 3 s of it.
    """
    if not takes:
        raise InputError(f"{name}: no recording of the word; name at least one")
    vectors, durations_s = [], []
    for take in takes:
        wave = _read(take)
        start_s, end_s = _spoken(take, wave)
        vectors.append(embed_part(encoder, wave, start_s, end_s))
        durations_s.append(end_s - start_s)
    return Query(name, _mean_direction(np.stack(vectors)), float(np.median(durations_s)), encoder.fingerprint)


def query_of_keyword(keyword: Keyword) -> Query:
    """A stored keyword as a query: its prototype."""
    return Query(keyword.name, keyword.prototype, keyword.duration_s, keyword.encoder)


def _read(take: Take) -> Wave:
    length_s = audio.duration_s(take.path)
    if length_s > LONGEST_TAKE_S and take.start_s is None:
        raise InputError(
            f"{take.path}: {length_s:.0f} s long, and a query is one word; say where it stands with --from and --to"
        )
    if take.end_s is not None and take.end_s <= (take.start_s or 0.0):
        raise InputError(f"{take.path}: --to {take.end_s:g} s is not after --from {take.start_s or 0:g} s")
    if take.start_s is not None and take.start_s >= length_s:
        raise InputError(f"{take.path}: ends at {length_s:.2f} s, before {take.start_s:g} s")
    return audio.read(take.path)


def _spoken(take: Take, wave: Wave) -> tuple[float, float]:
    """Where the word stands in its take."""
    duration_s = len(wave) / SAMPLE_RATE
    if take.start_s is not None:
        found: tuple[float, float] | None = (take.start_s, min(duration_s, take.end_s or duration_s))
    else:
        found = find_speech(wave[: round((take.end_s or duration_s) * SAMPLE_RATE)])
    if found is None:
        raise InputError(f"{take.path}: holds no speech; record the word again, or say where it stands: --from, --to")
    length_s = found[1] - found[0]
    if not SHORTEST_S <= length_s <= LONGEST_S:
        raise InputError(
            f"{take.path}: {length_s:.2f} s of speech, and a query lasts {SHORTEST_S:g} to {LONGEST_S:g} s; "
            "cut one word or phrase out, or say where it stands: --from, --to"
        )
    return found


def _mean_direction(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = vectors.mean(axis=0, dtype=np.float64)
    return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
