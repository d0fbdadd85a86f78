import numpy as np
import pytest

from earmark.training.mining.threshold import bin_edges, choose_threshold, histogram


def by_loop(best, wanted, width):
    """The published way: lower the threshold by a bin, count distinct queries, keep the closest count."""
    closest, chosen = np.inf, None
    for threshold in bin_edges(width)[::-1]:
        distance = abs(sum(similarity >= threshold for similarity in best) - wanted * len(best))
        if distance < closest:
            closest, chosen = distance, threshold
    return chosen


@pytest.mark.parametrize("wanted", [0.1, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_threshold_is_the_published_one(wanted, seed):
    rng = np.random.default_rng(seed)
    best = rng.beta(5, 3, 300).astype(np.float32)
    best[:20] = -np.inf
    curve = choose_threshold(best, wanted, 0.01)
    assert curve.threshold == by_loop(best, wanted, 0.01)
    assert curve.coverage[curve.chosen] == pytest.approx((best >= curve.threshold).mean())


def test_of_equally_close_thresholds_the_highest_is_taken():
    assert choose_threshold(np.array([0.905, 0.905, 0.4, 0.4], np.float32), 0.5, 0.01).threshold == 0.9


def test_some_segments_are_covered_where_all_similarities_are_equal():
    curve = choose_threshold(np.array([0.998] * 6 + [-np.inf] * 4, np.float32), 0.2, 0.01)
    assert (curve.threshold, curve.coverage[curve.chosen]) == (0.99, 0.6)


def test_every_similarity_is_in_its_bin():
    values = np.array([-1.0000001, -1, -0.005, 0, 0.28, 0.29, 0.995, 1, 1.0000001, -np.inf], np.float32)
    counts = histogram(values, 0.01)
    assert counts.sum() == 9
    for low, count in zip(bin_edges(0.01), counts, strict=True):
        inside = (values >= low) & (values < low + 0.01) & np.isfinite(values)
        assert count == inside.sum() + (low == -1)  # what is less than -1 is -1


def test_a_mask_selects_what_is_counted():
    assert histogram(np.array([0.5, 0.5, 0.9], np.float32), 0.5, np.array([True, False, True])).tolist() == [
        0,
        0,
        0,
        2,
        0,
    ]
