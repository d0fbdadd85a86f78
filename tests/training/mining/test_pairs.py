import numpy as np
import pytest

from earmark.data.lists.segment_pairs import read_segment_pairs, write_segment_pairs
from earmark.data.manifest import read_manifest
from earmark.training.mining.counts import chance, count_pairs, tally_neighbors
from earmark.training.mining.neighbors import find_neighbors
from earmark.training.mining.pairs import kept_pairs, listed_pairs, write_pair_manifest

THRESHOLD = 0.45


@pytest.fixture
def mined(made, tmp_path, exact):
    places, vectors = made(shared=True, unknown=True)
    return places, find_neighbors(vectors, places, exact, tmp_path)


def by_loop(found, *, is_mutual):
    """Unordered pairs from the threshold on."""
    directed = {
        (query, int(row))
        for query, (rows, values) in enumerate(zip(found.rows, found.similarities, strict=True))
        for row, value in zip(rows, values, strict=True)
        if value >= THRESHOLD
    }
    return {(min(pair), max(pair)) for pair in directed if not is_mutual or pair[::-1] in directed}


@pytest.mark.parametrize("is_mutual", [False, True])
def test_every_pair_stands_once(mined, is_mutual):
    _, found = mined
    pairs = [
        (int(one), int(other))
        for first, second, _ in kept_pairs(found, THRESHOLD, is_mutual=is_mutual)
        for one, other in zip(first, second, strict=True)
    ]
    assert len(pairs) == len({(min(pair), max(pair)) for pair in pairs}) > 10
    assert {(min(pair), max(pair)) for pair in pairs} == by_loop(found, is_mutual=is_mutual)


def test_lists_and_manifests_hold_the_same_pairs(mined, tmp_path):
    places, found = mined
    pairs = list(listed_pairs(found, places, THRESHOLD, is_mutual=False))
    write_segment_pairs(pairs, tmp_path / "pairs.txt")
    count = (
        write_pair_manifest(
            found, places, THRESHOLD, tmp_path / "out" / ".." / "pairs.parquet", tmp_path / "corpus", is_mutual=False
        )
        if (tmp_path / "out").mkdir() is None
        else 0
    )
    read = list(read_segment_pairs(tmp_path / "pairs.txt"))
    assert count == len(pairs) == len(read)
    assert [pair.first.path for pair in read] == [pair.first.path for pair in pairs]
    manifest = read_manifest(tmp_path / "pairs.parquet")
    sides = [(f"pair{number}", side) for number, pair in enumerate(pairs) for side in (pair.first, pair.second)]
    assert [(clip.label, clip.start_s, clip.end_s, clip.speaker) for clip in manifest] == [
        (label, side.start_s, side.end_s, side.speaker) for label, side in sides
    ]
    corpus = tmp_path / "corpus"
    assert [manifest.locate(clip).resolve() for clip in manifest] == [corpus / side.path for _, side in sides]


def test_pairs_are_counted_by_who_speaks_and_what_is_said(mined):
    places, found = mined
    counts = count_pairs(found, places, THRESHOLD, is_mutual=False)
    pairs = by_loop(found, is_mutual=False)
    speakers = [[places.span(row).speaker for row in pair] for pair in pairs]
    assert counts.pairs == len(pairs)
    assert counts.segments == len({row for pair in pairs for row in pair})
    assert counts.unknown_speaker == sum("" in some for some in speakers) > 0
    assert counts.same_speaker == sum(one == other != "" for one, other in speakers) > 0
    assert counts.across_speakers == counts.pairs - counts.unknown_speaker - counts.same_speaker
    assert counts.same_recording == sum(places.span(one).path == places.span(other).path for one, other in pairs)
    assert counts.labeled == len(pairs)
    assert counts.agreeing == sum(places.label(one) == places.label(other) for one, other in pairs)


def test_labels_agree_by_chance_as_often_as_drawn_pairs_do(mined):
    places, _ = mined
    labels = np.array([places.label(row) for row in range(len(places))])
    is_same = labels[:, None] == labels
    assert chance(places) == pytest.approx((is_same.sum() - len(labels)) / (len(labels) * (len(labels) - 1)))


def test_tallies_count_every_neighbor_that_is_there(mined):
    places, found = mined
    tallies = tally_neighbors(found, places, 0.01, is_mutual=False)
    assert tallies.neighbors.sum() == (np.asarray(found.rows) >= 0).sum()
    assert tallies.nearest.sum() == len(places)
    assert tallies.purity_from()[-1] == tallies.agreeing.sum() / tallies.labeled.sum()
