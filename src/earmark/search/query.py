"""Queries: the embedding of a word, from recordings of it or from a stored keyword."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.core.vectors import unit_mean
from earmark.search.windows import LONGEST_S
from earmark.spotting.keyword import Keyword, embed_part
from earmark.spotting.speech import find_speech
from earmark.spotting.takes import Take

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

SHORTEST_S = 0.1
LONGEST_TAKE_S = 60.0


@dataclass(frozen=True, eq=False)
class Query:
    """A word to search for.

    Attributes:
        name: label of the hits.
        vector: unit length, shape (d,).
        duration_s: length of the word.
        encoder: fingerprint of the encoder that made the vector.
        takes: of the word, for the verifier.
    """

    name: str
    vector: NDArray[np.float32]
    duration_s: float
    encoder: str
    takes: tuple[Take, ...] = ()


class WordSpan(Settings):
    """Where the word is in a take."""

    start_s: float | None = Field(None, ge=0, description="Start of the word in the take; detected if not given.")
    end_s: float | None = Field(None, ge=0, description="End of the word in the take; detected if not given.")


@dataclass(frozen=True)
class QueryTake:
    """A recording of the word.

    Attributes:
        path: the audio file.
        start_s: start of the word; None to detect speech.
        end_s: end of the word; None to detect speech, or for the end of the file if `start_s` is given.
    """

    path: Path
    start_s: float | None = None
    end_s: float | None = None


def query_from_takes(name: str, takes: Sequence[QueryTake], encoder: Encoder) -> Query:
    """Make a query from takes of a word: the mean of their embeddings, and the median of their durations.

    Args:
        name: label of the hits.
        takes: at least one; takes of several speakers find more.
        encoder: the encoder that made the index.

    Raises:
        AudioError: a take is missing or not audio.
        InputError: there is no take, or the speech in one is missing, shorter than 0.1 s or longer than 3 s.
    """
    if not takes:
        raise InputError("give at least one recording of the word", key="takes")
    found = []
    for take in takes:
        wave = _read(take)
        found.append(Take(wave, *_spoken_part(take, wave), str(take.path)))
    vectors = np.stack([embed_part(encoder, take.wave, take.start_s, take.end_s) for take in found])
    duration_s = float(np.median([take.end_s - take.start_s for take in found]))
    return Query(name, unit_mean(vectors), duration_s, encoder.fingerprint, tuple(found))


def query_from_keyword(keyword: Keyword) -> Query:
    """Make a query from the prototype of a stored keyword."""
    return Query(keyword.name, keyword.prototype, keyword.duration_s, keyword.encoder, keyword.takes)


def _read(take: QueryTake) -> Wave:
    length_s = audio.duration_s(take.path)
    start_s = take.start_s or 0.0
    if length_s > LONGEST_TAKE_S and take.start_s is None:
        raise InputError(
            f"{take.path}: {length_s:.0f} s long, but a query is one word; give the start and end of the word"
        )
    if take.end_s is not None and take.end_s <= start_s:
        raise InputError(
            f"the word ends at {take.end_s:g} s, but starts at {start_s:g} s; give a later end", key="end_s"
        )
    if take.start_s is not None and start_s >= length_s:
        raise InputError(
            f"the word starts at {start_s:g} s, but {take.path} ends at {length_s:.2f} s; give an earlier start",
            key="start_s",
        )
    return audio.read(take.path)


def _spoken_part(take: QueryTake, wave: Wave) -> tuple[float, float]:
    """Return the start and end of the word in seconds: those that the take gives, or else those of detected speech."""
    duration_s = len(wave) / SAMPLE_RATE
    if take.start_s is not None:
        found: tuple[float, float] | None = (take.start_s, min(duration_s, take.end_s or duration_s))
    else:
        found = find_speech(wave[: round((take.end_s or duration_s) * SAMPLE_RATE)])
    if found is None:
        raise InputError(f"{take.path}: no speech found; record the word again, or give the start and end of the word")
    length_s = found[1] - found[0]
    if not SHORTEST_S <= length_s <= LONGEST_S:
        raise InputError(
            f"{take.path}: {length_s:.2f} s of speech, but a query lasts {SHORTEST_S:g} to {LONGEST_S:g} s; "
            "cut out one word or phrase, or give its start and end"
        )
    return found
