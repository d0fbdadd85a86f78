import numpy as np
import pytest
from scipy.spatial.distance import cosine

from earmark.core.errors import InputError
from earmark.core.vectors import unit
from earmark.training.spatial.position import BLOCK, choose_anchors, mean_of, positions


@pytest.fixture
def vectors():
    return np.random.default_rng(0).random((50, 12)).astype(np.float32) ** 4


def test_positions_are_cosine_distances(vectors):
    anchors = np.random.default_rng(1).random((3, 12))
    plain = [[cosine(vector, anchor) for anchor in anchors] for vector in vectors.astype(float)]
    assert np.allclose(positions(vectors, anchors), plain, atol=1e-6)


def test_one_anchor_is_the_mean_of_all(vectors):
    anchor = choose_anchors(vectors, 1, np.random.default_rng(0))
    assert np.allclose(anchor, vectors.mean(axis=0, dtype=float), rtol=1e-12)


def test_a_mean_of_pieces_is_the_mean_of_the_whole(vectors):
    assert np.allclose(mean_of(vectors[start : start + 9] for start in range(0, 50, 9)), vectors.mean(axis=0))


def test_positions_do_not_depend_on_the_level(vectors):
    loudness = np.random.default_rng(2).uniform(0.1, 1e6, (50, 1)).astype(np.float32)
    anchors = vectors[:2]
    assert np.allclose(positions(vectors * loudness, anchors), positions(vectors, anchors), atol=1e-5)


def test_silence_has_distance_one_from_every_anchor(vectors):
    assert positions(np.zeros((2, 12), np.float32), vectors[:3]).tolist() == [[1] * 3] * 2


def test_several_anchors_are_the_means_of_their_groups():
    # Three bundles of directions, each around an axis of its own, at any loudness.
    generator = np.random.default_rng(3)
    group = generator.integers(3, size=90)
    bundles = (np.eye(3, 12)[group] + 0.05 * generator.random((90, 12))) * generator.uniform(1, 9, (90, 1))
    anchors = choose_anchors(bundles.astype(np.float32), 3, generator)
    means = np.stack([bundles[group == number].mean(axis=0) for number in range(3)])
    order = positions(means, anchors).argmin(axis=1)
    assert sorted(order) == [0, 1, 2]
    assert np.allclose(anchors[order], means, rtol=1e-5)


def test_anchors_are_those_of_the_seed(vectors):
    first, second, other = (choose_anchors(vectors, 4, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_equal_clips_give_equal_anchors():
    assert np.allclose(choose_anchors(np.ones((5, 3), np.float32), 2, np.random.default_rng(0)), 1)


def test_too_few_clips_are_refused():
    with pytest.raises(InputError, match=r"^anchors: "):
        choose_anchors(np.array([[1, 0], [0, 0], [0, 1]], np.float32), 3, np.random.default_rng(0))
    with pytest.raises(InputError, match="but there are none"):
        choose_anchors(np.zeros((0, 4), np.float32), 1, np.random.default_rng(0))


def test_vectors_of_several_blocks_are_read_block_by_block(vectors):
    vectors = np.tile(vectors, (50, 1))
    assert len(vectors) > 2 * BLOCK

    class Counting(np.ndarray):
        most = 0

        def __getitem__(self, rows):
            found = super().__getitem__(rows)
            if isinstance(rows, slice):
                Counting.most = max(Counting.most, len(found))
            return found

    positions(vectors.view(Counting), choose_anchors(vectors.view(Counting), 2, np.random.default_rng(0)))
    assert 0 < Counting.most <= BLOCK
    expected = 1 - unit(vectors) @ unit(vectors[:2]).T
    assert np.allclose(positions(vectors, vectors[:2]), expected, atol=1e-6)
