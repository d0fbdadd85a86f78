import itertools

import numpy as np
import pytest

from earmark.training.export.calibration import count_alarms, fit_slope, join_waves, max_per_second


def test_alarms_are_counted_as_a_plain_loop_counts_them() -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(0, 1, (200, 3)).astype(np.float32)
    grid = np.linspace(0, 1, 21)
    plain = [
        sum(before < threshold <= after for column in scores.T.tolist() for before, after in itertools.pairwise(column))
        for threshold in grid.tolist()
    ]
    assert count_alarms(scores, grid).tolist() == plain


def test_joined_pieces_are_long_enough_and_hold_all_samples() -> None:
    waves = [np.full(length, number, np.float32) for number, length in enumerate([3, 5, 2, 9, 1])]
    pieces = list(join_waves(waves, 6))
    assert [len(piece) for piece in pieces] == [8, 11, 1]
    assert np.array_equal(np.concatenate(pieces), np.concatenate(waves))


def test_the_largest_score_of_each_second_counts() -> None:
    scores = np.array([[0.1, 0.2], [0.3, 0.1], [0.5, 0.4], [0.2, 0.9], [0.7, 0.7]], np.float32)
    assert max_per_second(scores, 0.5).tolist() == pytest.approx([0.3, 0.2, 0.5, 0.9])


def test_the_slope_is_the_likeliest_of_the_given_ones() -> None:
    generator = np.random.default_rng(0)
    positive = np.arange(1000) < 300
    margins = np.where(positive, 0.1, -0.2) + 0.1 * generator.standard_normal(1000)
    slopes = np.geomspace(2, 200, 30)
    likelihood = [
        np.log(1 / (1 + np.exp(-slope * margins[positive]))).mean()
        + np.log(1 / (1 + np.exp(slope * margins[~positive]))).mean()
        for slope in slopes
    ]
    found = fit_slope(margins, positive, np.ones(1000), slopes)
    assert found == slopes[np.argmax(likelihood)]
    assert fit_slope(2 * margins, positive, np.ones(1000), slopes) < found
