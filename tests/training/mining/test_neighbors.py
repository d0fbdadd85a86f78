import numpy as np
import pytest

from earmark.training.mining import neighbors as module
from earmark.training.mining.neighbors import exact_neighbors, find_neighbors, recall
from earmark.training.mining.search_plan import plan_batches
from earmark.training.mining.settings import MiningSettings

RELATIONS = ("any", "same", "across")
CORPORA = [
    {"speakers": 5, "files": 3, "segments": 12},
    {"speakers": 1, "files": 1, "segments": 150},
    {"speakers": 2, "files": 1, "segments": 90, "shared": True},
    {"speakers": 4, "files": 4, "segments": 9, "shared": True, "unknown": True},
    {"speakers": 40, "files": 1, "segments": 2},
]


def brute_force(places, vectors, relation, wanted):
    """Neighbors by loops over all pairs of segments: for each, the most similar first."""
    stretches = [places.span(row) for row in range(len(places))]
    similarities = (vectors.astype(np.float64) @ vectors.T).tolist()
    found = []
    for one, first in enumerate(stretches):
        others = []
        for other, second in enumerate(stretches):
            is_same = (first.speaker or first.path) == (second.speaker or second.path)
            shared_s = min(first.end_s, second.end_s) - max(first.start_s, second.start_s)
            overlaps = first.path == second.path and shared_s > 0.001
            if not overlaps and {"any": True, "same": is_same, "across": not is_same}[relation]:
                others.append((-similarities[one][other], other))
        found.append([other for _, other in sorted(others)[:wanted]])
    return found


def listed(rows):
    return [[int(row) for row in some if row >= 0] for some in rows]


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("corpus", CORPORA, ids=str)
@pytest.mark.parametrize("size", [7, 48])
def test_no_valid_neighbor_is_lost_and_no_other_is_found(made, tmp_path, monkeypatch, exact, relation, corpus, size):
    places, vectors = made(**corpus)
    monkeypatch.setattr(module, "plan_batches", lambda *words: plan_batches(*words, size))
    settings = exact.model_copy(update={"relation": relation})
    found = find_neighbors(vectors, places, settings, tmp_path)
    right = brute_force(places, vectors, relation, 6)
    assert listed(found.rows) == right
    assert not found.is_approximate
    similarities = np.where(np.isfinite(found.similarities), found.similarities, -2)
    assert (np.diff(similarities, axis=1) <= 0).all()
    sums = np.einsum("nd,nkd->nk", vectors, vectors[found.rows])
    np.testing.assert_allclose(similarities[found.rows >= 0], sums[found.rows >= 0], atol=1e-6)


@pytest.mark.parametrize("relation", RELATIONS)
def test_neighbors_are_the_same_whatever_lies_in_memory_at_a_time(made, tmp_path, monkeypatch, exact, relation):
    places, vectors = made(speakers=30, segments=15)
    monkeypatch.setattr(module, "CHUNK_ROWS", 200)
    monkeypatch.setattr(module, "plan_batches", lambda *words: plan_batches(*words, 64))
    settings = exact.model_copy(update={"relation": relation})
    whole = find_neighbors(vectors, places, settings, _new(tmp_path / "whole"))
    parts = find_neighbors(
        vectors, places, settings.model_copy(update={"part_rows": 1000 // 3}), _new(tmp_path / "parts")
    )
    np.testing.assert_array_equal(whole.rows, parts.rows)


def _new(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize("relation", RELATIONS)
def test_inverted_lists_that_are_all_looked_into_lose_nothing(made, tmp_path, monkeypatch, relation):
    places, vectors = made(speakers=4, files=2, segments=60, shared=True)
    monkeypatch.setattr(module, "plan_batches", lambda *words: plan_batches(*words, 50))
    settings = MiningSettings(neighbors=6, relation=relation, exact_rows=0, probes=1000)
    found = find_neighbors(vectors, places, settings, tmp_path)
    assert listed(found.rows) == brute_force(places, vectors, relation, 6)
    # All that one speaker's neighbors are compared with lies in the gap.
    assert found.is_approximate or relation == "same"
    assert recall(vectors, places, found, settings) == 1


def test_recall_tells_how_many_neighbors_few_lists_miss(made, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "plan_batches", lambda *words: plan_batches(*words, 50))
    places, vectors = made(speakers=15, files=1, segments=25)
    settings = MiningSettings(neighbors=6, exact_rows=100, probes=2)
    found = find_neighbors(vectors, places, settings, tmp_path)
    right = brute_force(places, vectors, "any", 6)
    shared = [len({*some} & {*others}) for some, others in zip(listed(found.rows), right, strict=True)]
    measured = recall(vectors, places, found, settings, queries=len(places))
    assert measured == pytest.approx(sum(shared) / (6 * len(places)))
    assert 0.05 < measured < 1


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_slow_search_agrees_with_loops(made, monkeypatch, exact, relation):
    places, vectors = made(shared=True, unknown=True)
    monkeypatch.setattr(module, "_TILE_ROWS", 50)
    some = np.array([0, 3, 17, 60, *range(100, 140)])
    _, rows = exact_neighbors(vectors, places, some, exact.model_copy(update={"relation": relation}))
    right = brute_force(places, vectors, relation, 6)
    assert listed(rows) == [right[one] for one in some]


def test_a_run_that_was_stopped_goes_on_where_it_was(made, tmp_path, monkeypatch, exact):
    places, vectors = made(speakers=20)
    monkeypatch.setattr(module, "CHUNK_ROWS", 100)
    monkeypatch.setattr(module, "plan_batches", lambda *words: plan_batches(*words, 40))
    answered = module._answered
    asked = []

    def stopped(*words):
        asked.append(words[3].rows)
        if len(asked) == 9:
            raise KeyboardInterrupt
        return answered(*words)

    monkeypatch.setattr(module, "_answered", stopped)
    with pytest.raises(KeyboardInterrupt):
        find_neighbors(vectors, places, exact, tmp_path)
    found = find_neighbors(vectors, places, exact, tmp_path)
    again = [rows for rows in asked if asked.count(rows) > 1]
    assert 0 < len(set(again)) <= 3  # of the one chunk that was cut off
    assert listed(found.rows) == brute_force(places, vectors, "any", 6)
    assert {path.name for path in tmp_path.iterdir()} == {"done.json", "rows.npy", "similarities.npy"}


def test_segments_without_any_neighbor_have_none(made, tmp_path, exact):
    places, vectors = made(speakers=1, files=1, segments=1)
    found = find_neighbors(vectors, places, exact, tmp_path)
    assert np.asarray(found.rows).tolist() == [[-1] * 6]
    assert not np.isfinite(found.similarities).any()


def test_mutual_neighbors_are_those_that_found_each_other(made, tmp_path, exact):
    places, vectors = made()
    found = find_neighbors(vectors, places, exact, tmp_path)
    right = brute_force(places, vectors, "any", 6)
    for queries, similarities, rows in found.pieces(is_mutual=True):
        for query, kept, others in zip(queries, np.isfinite(similarities), rows, strict=True):
            assert kept.tolist() == [query in right[other] for other in others]
