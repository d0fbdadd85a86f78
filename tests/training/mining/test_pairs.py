import numpy as np
import pytest

from earmark.data.lists.segment_pairs import read_segment_pairs, write_segment_pairs
from earmark.data.manifest import read_manifest
from earmark.training.mining.counts import chance_agreement, count_pairs, neighbor_histograms
from earmark.training.mining.neighbors import find_neighbors
from earmark.training.mining.pairs import kept_pairs, listed_pairs, write_pair_manifest

THRESHOLD = 0.45


@pytest.fixture
def mined(made, tmp_path, exact):
    table, vectors = made(shared=True, unknown=True)
    return table, find_neighbors(vectors, table, exact, tmp_path)


def by_loop(found, *, mutual):
    """Unordered pairs from the threshold on."""
    directed = {
        (query, int(row))
        for query, (rows, values) in enumerate(zip(found.rows, found.similarities, strict=True))
        for row, value in zip(rows, values, strict=True)
        if value >= THRESHOLD
    }
    return {(min(pair), max(pair)) for pair in directed if not mutual or pair[::-1] in directed}


@pytest.mark.parametrize("mutual", [False, True])
def test_every_pair_is_listed_once(mined, mutual):
    _, found = mined
    pairs = [
        (int(one), int(other))
        for first, second, _ in kept_pairs(found, THRESHOLD, mutual=mutual)
        for one, other in zip(first, second, strict=True)
    ]
    assert len(pairs) == len({(min(pair), max(pair)) for pair in pairs}) > 10
    assert {(min(pair), max(pair)) for pair in pairs} == by_loop(found, mutual=mutual)


def test_lists_and_manifests_have_the_same_pairs(mined, tmp_path):
    table, found = mined
    pairs = list(listed_pairs(found, table, THRESHOLD, mutual=False))
    write_segment_pairs(pairs, tmp_path / "pairs.txt")
    count = (
        write_pair_manifest(
            found, table, THRESHOLD, tmp_path / "out" / ".." / "pairs.parquet", tmp_path / "corpus", mutual=False
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


def test_pairs_are_counted_by_speaker_and_label(mined):
    table, found = mined
    counts = count_pairs(found, table, THRESHOLD, mutual=False)
    pairs = by_loop(found, mutual=False)
    speakers = [[table.span(row).speaker for row in pair] for pair in pairs]
    assert counts.pairs == len(pairs)
    assert counts.segments == len({row for pair in pairs for row in pair})
    assert counts.unknown_speaker == sum("" in some for some in speakers) > 0
    assert counts.same_speaker == sum(one == other != "" for one, other in speakers) > 0
    assert counts.across_speakers == counts.pairs - counts.unknown_speaker - counts.same_speaker
    assert counts.same_recording == sum(table.span(one).path == table.span(other).path for one, other in pairs)
    assert counts.labeled == len(pairs)
    assert counts.agreeing == sum(table.label(one) == table.label(other) for one, other in pairs)


def test_chance_agreement_is_that_of_random_pairs(mined):
    table, _ = mined
    labels = np.array([table.label(row) for row in range(len(table))])
    is_same = labels[:, None] == labels
    assert chance_agreement(table) == pytest.approx((is_same.sum() - len(labels)) / (len(labels) * (len(labels) - 1)))


def test_histograms_count_every_neighbor_that_is_there(mined):
    table, found = mined
    histograms = neighbor_histograms(found, table, 0.01, mutual=False)
    assert histograms.neighbors.sum() == (np.asarray(found.rows) >= 0).sum()
    assert histograms.nearest.sum() == len(table)
    assert histograms.purity_from()[-1] == histograms.agreeing.sum() / histograms.labeled.sum()
