"""Embeddings of a keyword by the verifier, and the scores of a candidate against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.vectors import unit
from earmark.spotting.negative import discounted
from earmark.spotting.parts import QUARTERS, SHORTEST, WHOLE, part_borders
from earmark.spotting.recent_audio import MARGIN_S
from earmark.spotting.synthetic import mean_parts, means_of_others
from earmark.spotting.takes import Take

if TYPE_CHECKING:
    from earmark.models.verifier import Verifier

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Chosen on words and phrases that no result is reported on, see docs/decisions/0016.
_SHIFTS_S = tuple(0.04 * step for step in range(-4, 5))
_TEMPOS = (0.85, 1.0, 1.18)
_QUARTERS_FROM_S, _QUARTERS_FULL_S, _QUARTERS_WEIGHT = 0.6, 0.9, 0.5
_QUARTER_ALLOWANCE = 0.05


@dataclass(frozen=True, eq=False)
class VerifierEmbeddings:
    """A keyword as the verifier embeds it.

    Attributes:
        fingerprint: of the verifier.
        parts: of the word of each take, shape (k, 7, d), rows of unit length, in the order of `parts.SPANS`.
        negative_parts: of the negatives, shape (n, 7, d).
        synthetic_parts: of the synthetic takes, shape (s, 7, d).
    """

    fingerprint: str
    parts: Floats
    negative_parts: Floats
    synthetic_parts: Floats

    def without(self, number: int) -> VerifierEmbeddings:
        """The embeddings without one of the takes, by its number from 0."""
        return replace(self, parts=np.delete(self.parts, number, axis=0))

    @property
    def references(self) -> Floats:
        """The mean of the takes, then the negatives; shape (1 + n, 7, d)."""
        return np.concatenate([mean_parts(self.parts, self.synthetic_parts)[None], self.negative_parts])

    @property
    def every(self) -> tuple[Floats, Floats, Floats]:
        """The embeddings of the takes, of the negatives, and of the synthetic takes."""
        return self.parts, self.negative_parts, self.synthetic_parts


def embed_with_verifier(
    takes: Sequence[Take], verifier: Verifier, *, negatives: Sequence[Take] = (), synthetic: Sequence[Take] = ()
) -> VerifierEmbeddings:
    """Embed the words of takes, negatives and synthetic takes."""
    parts = np.stack([_embed_word(take, verifier) for take in (*takes, *negatives, *synthetic)])
    ends = np.cumsum([len(takes), len(negatives)])
    return VerifierEmbeddings(verifier.fingerprint, *np.split(parts, ends))


def _embed_word(take: Take, verifier: Verifier) -> Floats:
    """The parts of the word of a take, shape (7, d)."""
    wave, start_s = cut(take.wave, take.start_s, take.end_s)
    stop_s = start_s + take.end_s - take.start_s
    return _embed_windows(verifier.frames(wave), verifier.hop_s, start_s, stop_s, tempos=(1.0,), shifts_s=(0.0,))[:, 0]


def cut(wave: Wave, start_s: float, end_s: float) -> tuple[Wave, float]:
    """The audio between two times with the margins of a candidate, and the time in it at which the word starts."""
    first_s = max(0.0, start_s - MARGIN_S)
    return wave[round(first_s * SAMPLE_RATE) : round((end_s + MARGIN_S) * SAMPLE_RATE)], start_s - first_s


def similarity(
    embedded: VerifierEmbeddings, duration_s: float, verifier: Verifier, wave: Wave, start_s: float, end_s: float
) -> float:
    """Score of the verifier for a word in a wave: that of the best window near two times.

    Args:
        embedded: the keyword.
        duration_s: its length.
        verifier: with the fingerprint of the embeddings.
        wave: shape (n,), with the margins of a candidate.
        start_s: about the start of the word in the wave.
        end_s: about its end.
    """
    return frame_similarity(embedded, duration_s, verifier.frames(wave), verifier.hop_s, start_s, end_s)


def frame_similarity(
    embedded: VerifierEmbeddings, duration_s: float, frames: Floats, hop_s: float, start_s: float, end_s: float
) -> float:
    """As `similarity`, with the frames of the wave, shape (t, d), and the time between them, in seconds."""
    windows = _embed_windows(frames, hop_s, start_s, end_s, tempos=_TEMPOS, shifts_s=_SHIFTS_S)
    references = embedded.references
    compared = np.einsum("pmd,rpd->pmr", windows, references).astype(np.float32)
    scores = np.minimum(_mean(compared, duration_s), _limit(compared, duration_s))
    owners = np.zeros(len(references) - 1, np.int64)
    return float(discounted(scores[:, :1], scores[:, 1:], owners).max())


def joint_score(first: float, second: float) -> float:
    """The joint score of both stages."""
    return (first + second) / 2


def second_take_scores(embedded: VerifierEmbeddings, duration_s: float) -> Floats:
    """Score of each take against the means of the others, without the limit of the worst quarter; shape (k,)."""
    others = means_of_others(embedded.parts, embedded.synthetic_parts)
    return _mean(np.einsum("kpd,kpd->pk", embedded.parts, others), duration_s)


def _mean(similarity: Floats, duration_s: float) -> Floats:
    """Combine the similarities of the parts, shape (7, …): the longer a word is, the more its quarters count."""
    weight = np.interp(duration_s, (_QUARTERS_FROM_S, _QUARTERS_FULL_S), (0, _QUARTERS_WEIGHT))
    whole, quarters = similarity[WHOLE], similarity[QUARTERS].sum(axis=0) / 4
    return np.asarray(whole + weight * (quarters - whole), np.float32)


def _limit(similarity: Floats, duration_s: float) -> Floats:
    """The highest score that the worst quarter allows, so that a phrase does not fire on half of it."""
    allowance = _QUARTER_ALLOWANCE if duration_s >= _QUARTERS_FROM_S else np.inf
    return np.asarray(similarity[QUARTERS].min(axis=0) + allowance, np.float32)


def _embed_windows(
    frames: Floats, hop_s: float, start_s: float, end_s: float, *, tempos: Sequence[float], shifts_s: Sequence[float]
) -> Floats:
    """Embed the parts of windows of several lengths, relative to a span, that end near its end; shape (7, m, d)."""
    lengths = np.maximum(SHORTEST, np.round((end_s - start_s) / hop_s * np.array(tempos))).astype(np.int64)
    stops = np.round((end_s + np.array(shifts_s)) / hop_s).astype(np.int64)
    length, stop = (grid.ravel() for grid in np.meshgrid(lengths, stops))
    first, last = (np.clip(border + stop - length, 0, len(frames)) for border in part_borders(length))
    sums = np.zeros((len(frames) + 1, frames.shape[1]))
    np.cumsum(frames, axis=0, out=sums[1:])
    return unit(sums[last] - sums[first]).astype(np.float32)
