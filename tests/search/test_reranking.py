from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark import audio
from earmark.search import Hit, QueryTake, query_from_takes, rerank


class Pitches:
    """Follows the interface of `earmark.models.verifier.Verifier`: the spectrum of each 20 ms."""

    fingerprint, hop_s = "5ec0" * 4, 0.02

    def frames(self, wave: Any) -> Any:
        count = len(wave) // 320
        return np.abs(np.fft.rfft(wave[: count * 320].reshape(count, 320)))[:, 1:40].astype(np.float32)


@pytest.fixture
def query(take: Path, sum_encoder: Any) -> Any:
    return query_from_takes("rise", [QueryTake(take)], sum_encoder)


def names(hits: Sequence[Hit]) -> list[str]:
    return [Path(hit.file).stem for hit in hits]


def test_hits_that_the_verifier_prefers_come_first(query: Any, talks: Path) -> None:
    # "rise" is said in those with an even number, at 1.4 s.
    hits = [Hit(str(talks / f"{number}.wav"), 1.4, 2.1, 0.8) for number in (1, 3, 0, 2)]
    found = rerank(hits, query, Pitches())  # type: ignore[arg-type]
    assert set(names(found)[:2]) == {"0", "2"}
    assert sorted(names(found)) == sorted(names(hits))
    scores = [hit.verifier_score for hit in found]
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    assert [hit.score for hit in found] == [0.8] * 4
    assert all(hit.verifier_score is None for hit in hits)


def test_a_score_far_ahead_stays_ahead(query: Any, talks: Path) -> None:
    hits = [Hit(str(talks / f"{number}.wav"), 1.4, 2.1, score) for number, score in ((1, 3.0), (0, 0.5))]
    assert names(rerank(hits, query, Pitches())) == ["1", "0"]  # type: ignore[arg-type]


def test_hits_without_audio_and_later_ones_follow_in_their_order(query: Any, talks: Path) -> None:
    files = ["gone", "1", "0", "lost", "3", "2"]
    hits = [Hit(str(talks / f"{name}.wav"), 1.4, 2.1, 0.9) for name in files]
    found = rerank(hits, query, Pitches(), most=4)  # type: ignore[arg-type]
    assert names(found) == ["0", "1", "gone", "lost", "3", "2"]
    assert [hit.verifier_score is None for hit in found] == [False, False, True, True, True, True]


def test_a_hit_at_the_edge_of_a_file_is_compared(query: Any, talks: Path) -> None:
    length_s = audio.duration_s(talks / "0.wav")
    hits = [Hit(str(talks / "0.wav"), 0.0, 0.5, 0.9), Hit(str(talks / "0.wav"), length_s - 0.5, length_s, 0.9)]
    found = rerank(hits, query, Pitches())  # type: ignore[arg-type]
    assert all(hit.verifier_score is not None for hit in found)


def test_a_query_without_takes_keeps_the_order(query: Any, talks: Path) -> None:
    hits = [Hit(str(talks / f"{number}.wav"), 1.4, 2.1, 0.8) for number in (1, 0)]
    assert rerank(hits, replace(query, takes=()), Pitches()) == hits  # type: ignore[arg-type]
