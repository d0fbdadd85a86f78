"""A keyword: a word to detect, and how its takes become embeddings."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, AudioInput, Wave
from earmark.core.errors import InputError
from earmark.core.names import clean_name
from earmark.core.vectors import unit
from earmark.spotting.agreement import Agreement
from earmark.spotting.enrolled import Enrolled
from earmark.spotting.keyword_calibration import KeywordCalibration
from earmark.spotting.negative import Negative
from earmark.spotting.parts import SHORTEST, SPANS, WHOLE, PartRules, embed_parts
from earmark.spotting.speech import find_speech
from earmark.spotting.synthetic import mean_length_s, mean_parts, means_of_others, weight
from earmark.spotting.takes import EnrollmentError, Take, TakeLabel, no_speech, read_take
from earmark.spotting.verifier_scores import VerifierEmbeddings, embed_with_verifier, joint_score, second_take_scores
from earmark.spotting.word_remarks import LONGEST_S

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.float32]

LONGEST_TAKE_S = 30.0
SHORTEST_S = 0.2  # of a spoken keyword
SHORTEST_WINDOW_S = 0.3
# A take is an outlier when its similarity to the others is this many robust standard deviations below the median.
OUTLIER_DEVIATIONS, SMALLEST_DEVIATION = 3.5, 0.04


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Keyword(Enrolled):
    """A word to detect.

    Attributes:
        duration_s: length of the word in seconds.
        parts: embeddings of the parts of the word, shape (k, 7, d), rows of unit length, in the order of `parts.SPANS`;
            None in a keyword that an earlier version enrolled.
        only_speaker: name of the only speaker who may trigger it; None for any speaker.
        calibration: where the threshold comes from, and what the scores mean.
        negatives: audio that must not trigger it.
        negative_parts: embeddings of the parts of the negatives, shape (n, 7, d), as `parts`.
        synthetic: takes of the typed word in synthetic voices, see `earmark.spotting.synthetic`.
        synthetic_parts: embeddings of their parts, shape (s, 7, d), as `parts`.
        verifier: embeddings of all of these by the verifier; None where it does not verify the keyword.
    """

    duration_s: float
    parts: Floats | None = None
    only_speaker: str | None = None
    calibration: KeywordCalibration = field(default_factory=KeywordCalibration)
    negatives: tuple[Negative, ...] = ()
    negative_parts: Floats | None = None
    synthetic: tuple[Take, ...] = ()
    synthetic_parts: Floats | None = None
    verifier: VerifierEmbeddings | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.only_speaker is not None:
            object.__setattr__(self, "only_speaker", clean_name(self.only_speaker, of="speaker"))
        counts = [len(takes) for takes in (self.takes, self.negatives, self.synthetic)]
        for count, rows in zip(counts[1:], (self.negative_parts, self.synthetic_parts), strict=True):
            if count != (0 if rows is None else len(rows)):
                raise InputError(f"keyword '{self.name}': {count} negatives or synthetic takes need as many embeddings")
        if self.verifier is not None and counts != [len(rows) for rows in self.verifier.every]:
            raise InputError(f"keyword '{self.name}': the verifier needs embeddings of each take and negative")

    @property
    def _is_empty(self) -> bool:
        return super()._is_empty and not self.synthetic

    @property
    def prototype(self) -> Floats:
        """The mean embedding of the whole word over all takes, scaled to unit length; shape (d,)."""
        return super().prototype if self.parts is None else self.part_prototypes[WHOLE]

    @property
    def part_prototypes(self) -> Floats:
        """The mean embedding of each part over all takes, scaled to unit length; shape (7, d).

        Raises:
            InputError: an earlier version enrolled the keyword, without parts.
        """
        if self.parts is None:
            raise InputError(
                f"keyword {self.name!r} was enrolled by an earlier version; convert it: earmark keywords reembed "
                f"{shlex.quote(self.name)}"
            )
        return mean_parts(self.parts, self.synthetic_parts)

    @property
    def take_weight(self) -> float:
        """Weight of all takes, in recordings."""
        return weight(len(self.takes), len(self.synthetic))


def take_scores(keyword: Keyword) -> Floats | None:
    """Score of each take against the prototypes of the others, shape (k,); None for one take, or without parts."""
    parts = keyword.parts
    if parts is None or len(parts) < 2:
        return None
    others = means_of_others(parts, keyword.synthetic_parts)
    similarity = np.einsum("kpd,kpd->pk", parts, others)
    rules = PartRules.of([keyword.duration_s], [keyword.take_weight - 1])
    return rules.combine(similarity[..., None])[:, 0]


def joint_take_scores(keyword: Keyword) -> Floats | None:
    """As `take_scores`, by both stages; None for a keyword without the embeddings of one stage, or with one take."""
    first = take_scores(keyword)
    if first is None or keyword.verifier is None:
        return None
    second = second_take_scores(keyword.verifier, keyword.duration_s)
    return np.array([joint_score(*pair) for pair in zip(first.tolist(), second.tolist(), strict=True)], np.float32)


def find_word(given: AudioInput, label: TakeLabel) -> Take:
    """Find the word in a take.

    Raises:
        AudioError: the take is not audio.
        EnrollmentError: it is too long, or contains too little speech.
    """
    wave = read_take(given, label, LONGEST_TAKE_S, "cut the word out")
    spoken = find_speech(wave)
    if spoken is None:
        raise no_speech(wave, label)
    start_s, end_s = spoken
    if end_s - start_s < SHORTEST_S:
        raise EnrollmentError(
            f"{label} contains only {end_s - start_s:.2f} s of speech: say the whole word, 0.2 s or more"
        )
    return Take(wave, start_s, end_s, label.source)


def agreed_takes(takes: Sequence[Take], agreements: Sequence[Agreement]) -> list[Take]:
    """The takes with the agreed spans of their words."""
    return [
        replace(take, start_s=agreement.span[0], end_s=min(agreement.span[1], len(take.wave) / SAMPLE_RATE))
        for take, agreement in zip(takes, agreements, strict=True)
    ]


def embed_part(encoder: Encoder, wave: Wave, start_s: float, end_s: float) -> Floats:
    """Embed a part of a wave; the encoder also gets the audio around it, as in a stream.

    Returns:
        Unit vector, shape (d,).
    """
    frames = encoder.frames(wave)
    stop = min(len(frames), max(1, round(end_s / encoder.hop_s)))
    length = max(1, stop - round(start_s / encoder.hop_s))
    return encoder.embed_windows(frames, np.array([stop]), length)[0]


def embed_words(takes: Sequence[Take], encoder: Encoder, frames: Sequence[Floats] | None = None) -> Floats:
    """Embed the parts of the word of each take, shape (k, 7, d); see `parts.SPANS`.

    Args:
        takes: with the spans of their words.
        encoder: embeds them.
        frames: of each take, shape (t, width), where they are known.
    """
    known = [encoder.frames(take.wave) for take in takes] if frames is None else frames
    if not takes:
        return np.zeros((0, len(SPANS), encoder.dimension), np.float32)
    return np.stack([_embed_word(take, encoder, own) for take, own in zip(takes, known, strict=True)])


def with_negatives(keyword: Keyword, negatives: Sequence[Negative], encoder: Encoder) -> Keyword:
    """The keyword with these negatives, embedded with its encoder, in place of its own."""
    parts = embed_words(negatives, encoder) if negatives else None
    changed = replace(keyword, negatives=tuple(negatives), negative_parts=parts, verifier=None)
    return changed if keyword.verifier is None else with_verifier(changed)


def with_synthetic(keyword: Keyword, synthetic: Sequence[Take], encoder: Encoder) -> Keyword:
    """The keyword with these synthetic takes, embedded with its encoder, in place of its own."""
    parts = embed_words(synthetic, encoder) if synthetic else None
    length_s = word_length_s(keyword.takes, synthetic)
    changed = replace(keyword, synthetic=tuple(synthetic), synthetic_parts=parts, duration_s=length_s, verifier=None)
    return changed if keyword.verifier is None else with_verifier(changed)


def without_negatives(keyword: Keyword) -> Keyword:
    """The keyword without its negatives."""
    verified = keyword.verifier
    if verified is not None:
        verified = replace(verified, negative_parts=verified.negative_parts[:0])
    return replace(keyword, negatives=(), negative_parts=None, verifier=verified)


def with_verifier(keyword: Keyword) -> Keyword:
    """The keyword with its takes and negatives embedded by the shipped verifier, where that is installed."""
    from earmark.models.verifier import shipped_verifier

    verifier = shipped_verifier()
    if verifier is None:
        return replace(keyword, verifier=None)
    others = {"negatives": keyword.negatives, "synthetic": keyword.synthetic}
    return replace(keyword, verifier=embed_with_verifier(keyword.takes, verifier, **others))


def _embed_word(take: Take, encoder: Encoder, frames: Floats) -> Floats:
    stop = min(len(frames), max(1, round(take.end_s / encoder.hop_s)))
    length = max(SHORTEST, stop - round(take.start_s / encoder.hop_s))
    return embed_parts(encoder, frames, stop, length)


def word_length_s(takes: Sequence[Take], synthetic: Sequence[Take] = ()) -> float:
    """Mean length of the word, in seconds, without takes that differ from the median by more than a factor 1.5.

    Args:
        takes: recordings; none only where there are synthetic takes.
        synthetic: synthetic takes, which have a weight of their own.
    """
    lengths_s = [take.end_s - take.start_s for take in takes]
    if lengths_s:
        middle = float(np.median(lengths_s))
        lengths_s = [length for length in lengths_s if middle / 1.5 <= length <= middle * 1.5] or [middle]
    return float(np.clip(mean_length_s(lengths_s, synthetic), SHORTEST_WINDOW_S, LONGEST_S))


def remark_outliers(keyword: Keyword, labels: Sequence[TakeLabel]) -> list[Take]:
    """The takes, with a remark on each one that the others would not find and that differs much more than they do."""
    remarked = list(keyword.takes)
    for index, similarity in _outliers(keyword):
        remarked[index] = remarked[index].with_doubt(
            f"{labels[index]} sounds unlike the others (similarity {similarity:.2f}): record it again, or leave it out"
        )
    return remarked


def _outliers(keyword: Keyword) -> list[tuple[int, float]]:
    """Index and similarity of each outlier."""
    parts, scores = keyword.parts, take_scores(keyword)
    if parts is None or scores is None or len(parts) < 3:
        return []
    # Each take against the prototypes of the others.
    whole = np.sum(parts * unit(parts.sum(axis=0) - parts), axis=2)[:, WHOLE]
    middle = np.median(whole)
    deviation = max(1.4826 * float(np.median(np.abs(whole - middle))), SMALLEST_DEVIATION)
    is_odd = (whole < middle - OUTLIER_DEVIATIONS * deviation) & (scores < keyword.threshold)
    return [(int(index), float(whole[index])) for index in np.flatnonzero(is_odd)]
