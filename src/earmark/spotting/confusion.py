"""What a keyword may be confused with: common words, and the other keywords of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from earmark.core.names import fold
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.keyword import Keyword
from earmark.spotting.lexicon import Lexicon, word_scores
from earmark.spotting.take_frames import TakeFrames, take_frames

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

MOST_WORDS = 3

NEAR = 1.4
"""A word is similar from this far below the threshold on, relative to the scale of the background's tail."""


def similar_words(keyword: Keyword, encoder: Encoder, lexicon: Lexicon, *, most: int = MOST_WORDS) -> list[str]:
    """The words of a lexicon that reach the threshold of a keyword, or nearly so; the most similar first.

    A word that is the name of the keyword is left out.

    Args:
        keyword: with its threshold; without a measured tail no word is similar.
        encoder: of the keyword and of the lexicon.
        lexicon: common words.
        most: number of words.
    """
    tails = keyword.calibration.tails
    if not tails:
        return []
    scores = word_scores(keyword, encoder, lexicon)
    least = keyword.threshold - NEAR * tails[0].scale
    found = [lexicon.words[number] for number in np.argsort(-scores, kind="stable").tolist() if scores[number] >= least]
    return [word for word in found if fold(word) != fold(keyword.name)][:most]


def similar_keywords(keyword: Keyword, others: Sequence[Keyword], encoder: Encoder) -> list[str]:
    """Names of the keywords that are confused with a keyword: of one, half of the takes or more trigger the other.

    Args:
        keyword: enrolled with this encoder.
        others: enrolled with any encoder; those of another one are compared by their takes only.
        encoder: of the keyword.
    """
    settings, found = DetectorSettings(), []
    own = [take_frames(take, encoder) for take in keyword.takes or keyword.synthetic]

    def triggers(scorer: Keyword, takes: Sequence[TakeFrames]) -> bool:
        hits = [framed.score(scorer, encoder, settings) >= scorer.threshold for framed in takes]
        return bool(hits) and 2 * sum(hits) >= len(hits)

    for other in others:
        if fold(other.name) == fold(keyword.name):
            continue
        theirs = [take_frames(take, encoder) for take in other.takes or other.synthetic]
        is_comparable = other.encoder == keyword.encoder and other.parts is not None
        if triggers(keyword, theirs) or (is_comparable and triggers(other, own)):
            found.append(other.name)
    return found
