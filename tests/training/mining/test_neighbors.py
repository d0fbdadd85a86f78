import numpy as np
import pytest

from earmark.training.mining.neighbors import find_exact, find_neighbors, measure_recall
from earmark.training.mining.settings import MiningSettings

RELATIONS = ("any", "same", "across")
CORPORA = [
    {"speakers": 5, "files": 3, "segments": 12},
    {"speakers": 1, "files": 1, "segments": 150},
    {"speakers": 2, "files": 1, "segments": 90, "shared": True},
    {"speakers": 4, "files": 4, "segments": 9, "shared": True, "unknown": True},
    {"speakers": 40, "files": 1, "segments": 2},
]


def brute_force(table, vectors, relation, wanted):
    """Neighbors by loops over all pairs of segments, the most similar first."""
    spans = [table.span(row) for row in range(len(table))]
    similarities = (vectors.astype(np.float64) @ vectors.T).tolist()
    found = []
    for one, first in enumerate(spans):
        others = []
        for other, second in enumerate(spans):
            is_same = (first.speaker or first.path) == (second.speaker or second.path)
            shared_s = min(first.end_s, second.end_s) - max(first.start_s, second.start_s)
            overlaps = first.path == second.path and shared_s > 0.001
            if not overlaps and {"any": True, "same": is_same, "across": not is_same}[relation]:
                others.append((-similarities[one][other], other))
        found.append([other for _, other in sorted(others)[:wanted]])
    return found


def listed(rows):
    return [[int(row) for row in some if row >= 0] for some in rows]


@pytest.fixture
def folder(tmp_path):
    """`folder(name)`: a new folder."""

    def make(name):
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("corpus", CORPORA, ids=str)
@pytest.mark.parametrize("size", [7, 48])
def test_no_valid_neighbor_is_lost_and_no_other_is_found(made, tmp_path, exact, relation, corpus, size):
    table, vectors = made(**corpus)
    settings = exact.model_copy(update={"relation": relation})
    found = find_neighbors(vectors, table, settings, tmp_path, block_rows=size)
    right = brute_force(table, vectors, relation, 6)
    assert listed(found.rows) == right
    assert not found.is_approximate
    similarities = np.where(np.isfinite(found.similarities), found.similarities, -2)
    assert (np.diff(similarities, axis=1) <= 0).all()
    sums = np.einsum("nd,nkd->nk", vectors, vectors[found.rows])
    np.testing.assert_allclose(similarities[found.rows >= 0], sums[found.rows >= 0], atol=1e-6)


@pytest.mark.parametrize("relation", RELATIONS)
def test_neighbors_do_not_depend_on_the_size_of_parts_and_chunks(made, folder, exact, relation):
    table, vectors = made(speakers=30, segments=15)
    settings = exact.model_copy(update={"relation": relation})
    small = settings.model_copy(update={"part_rows": 1000 // 3})
    whole = find_neighbors(vectors, table, settings, folder("whole"))
    parts = find_neighbors(vectors, table, small, folder("parts"), chunk_rows=200, block_rows=64)
    np.testing.assert_array_equal(whole.rows, parts.rows)


@pytest.mark.parametrize("relation", RELATIONS)
def test_inverted_lists_that_are_all_searched_lose_nothing(made, tmp_path, relation):
    table, vectors = made(speakers=4, files=2, segments=60, shared=True)
    settings = MiningSettings(neighbors=6, relation=relation, exact_rows=0, probes=1000)
    found = find_neighbors(vectors, table, settings, tmp_path, block_rows=50)
    assert listed(found.rows) == brute_force(table, vectors, relation, 6)
    # All candidates of the relation "same" are in the gap, which is always searched exactly.
    assert found.is_approximate or relation == "same"
    assert measure_recall(vectors, table, found, settings) == 1


def test_recall_is_the_share_of_true_neighbors_that_few_lists_give(made, tmp_path):
    table, vectors = made(speakers=15, files=1, segments=25)
    settings = MiningSettings(neighbors=6, exact_rows=100, probes=2)
    found = find_neighbors(vectors, table, settings, tmp_path, block_rows=50)
    right = brute_force(table, vectors, "any", 6)
    shared = [len({*some} & {*others}) for some, others in zip(listed(found.rows), right, strict=True)]
    recall = measure_recall(vectors, table, found, settings, queries=len(table))
    assert recall == pytest.approx(sum(shared) / (6 * len(table)))
    assert 0.05 < recall < 1


@pytest.mark.parametrize("relation", RELATIONS)
def test_exact_search_agrees_with_loops(made, exact, relation):
    table, vectors = made(shared=True, unknown=True)
    some = np.array([0, 3, 17, 60, *range(100, 140)])
    _, rows = find_exact(vectors, table, some, exact.model_copy(update={"relation": relation}), tile_rows=50)
    right = brute_force(table, vectors, relation, 6)
    assert listed(rows) == [right[one] for one in some]


def test_an_interrupted_search_continues_with_the_next_chunk(made, tmp_path, exact):
    table, vectors = made(speakers=20)
    finished = []

    def stop(_stage, done, _total):
        finished.append(done)
        if len(finished) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_neighbors(vectors, table, exact, tmp_path, progress=stop, chunk_rows=100, block_rows=40)
    chunks = sorted(tmp_path.glob("found-*.json"))
    assert len(chunks) == 3
    times = [file.stat().st_mtime_ns for file in chunks]

    def check(_stage, _done, _total):
        assert [file.stat().st_mtime_ns for file in chunks] == times

    found = find_neighbors(vectors, table, exact, tmp_path, progress=check, chunk_rows=100, block_rows=40)
    assert listed(found.rows) == brute_force(table, vectors, "any", 6)
    assert {path.name for path in tmp_path.iterdir()} == {"done.json", "rows.npy", "similarities.npy"}


def test_segments_without_any_neighbor_have_none(made, tmp_path, exact):
    table, vectors = made(speakers=1, files=1, segments=1)
    found = find_neighbors(vectors, table, exact, tmp_path)
    assert np.asarray(found.rows).tolist() == [[-1] * 6]
    assert not np.isfinite(found.similarities).any()


def test_mutual_neighbors_are_those_that_found_each_other(made, tmp_path, exact):
    table, vectors = made()
    found = find_neighbors(vectors, table, exact, tmp_path)
    right = brute_force(table, vectors, "any", 6)
    for queries, similarities, rows in found.pieces(mutual=True):
        for query, kept, others in zip(queries, np.isfinite(similarities), rows, strict=True):
            assert kept.tolist() == [query in right[other] for other in others]
