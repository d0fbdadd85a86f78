"""Rank the best hits of a search again by the verifier, which needs the indexed audio."""

from collections.abc import Sequence
from dataclasses import replace

from earmark.core.audio import AudioError, read_spans
from earmark.models.verifier import Verifier
from earmark.search.hits import Hit
from earmark.search.query import Query
from earmark.spotting.recent_audio import MARGIN_S
from earmark.spotting.verifier_scores import embed_with_verifier, joint_score, similarity

MOST = 50
"""Number of best hits that are ranked again."""


def rerank(hits: Sequence[Hit], query: Query, verifier: Verifier, *, most: int = MOST) -> list[Hit]:
    """Rank the best hits by the mean of their scores and those of the verifier.

    Args:
        hits: from `search`, the best first.
        query: with its takes.
        verifier: compares the takes with the audio of the hits.
        most: number of hits that are ranked again, in about 30 ms each; the others follow in their order.

    Returns:
        The hits, with `verifier_score`; those whose audio cannot be read follow the ones that were compared.
    """
    if not query.takes:
        return list(hits)
    embedded = embed_with_verifier(query.takes, verifier)
    places: dict[str, list[int]] = {}
    for place, hit in enumerate(hits[:most]):
        places.setdefault(hit.file, []).append(place)
    scored: list[Hit] = []
    missing: list[int] = []
    for file, own in places.items():
        spans = [(hits[place].start_s - MARGIN_S, hits[place].end_s + MARGIN_S) for place in own]
        try:
            waves = read_spans(file, spans)
        except AudioError:
            missing += own
            continue
        for place, wave in zip(own, waves, strict=True):
            hit = hits[place]
            start_s = min(MARGIN_S, hit.start_s)
            end_s = start_s + hit.end_s - hit.start_s
            second = similarity(embedded, query.duration_s, verifier, wave, start_s, end_s)
            scored.append(replace(hit, verifier_score=second))
    scored.sort(key=lambda hit: -joint_score(hit.score, hit.verifier_score or 0.0))
    return [*scored, *(hits[place] for place in sorted(missing)), *hits[most:]]
