import numpy as np
from scipy.spatial.distance import cdist

from earmark.training.spatial.cost import ANCHOR, FULL, mean_distances, measure_cost


def test_mean_distances_are_those_of_the_whole_matrix():
    vectors = np.random.default_rng(0).random((1500, 7), np.float32)
    np.testing.assert_allclose(mean_distances(vectors), cdist(vectors, vectors, "cosine").mean(axis=1), atol=1e-5)


def test_both_methods_are_measured_at_every_size():
    done = []
    costs = measure_cost(
        (20, 40), dimension=16, repeats=1, progress=lambda _, count, total: done.append((count, total))
    )
    assert done == [(0, 2), (1, 2), (2, 2)]
    for way in (FULL, ANCHOR):
        assert costs[way].sizes.tolist() == [20, 40]
        assert (costs[way].seconds > 0).all()
