import itertools

import numpy as np
import pytest

from earmark.training.export.calibration import _by_second, _joined, _slope, alarms


def test_alarms_are_counted_as_a_plain_loop_counts_them():
    generator = np.random.default_rng(0)
    scores = generator.uniform(0, 1, (200, 3)).astype(np.float32)
    grid = np.linspace(0, 1, 21)
    plain = [
        sum(before < threshold <= after for column in scores.T.tolist() for before, after in itertools.pairwise(column))
        for threshold in grid.tolist()
    ]
    assert alarms(scores, grid).tolist() == plain


def test_the_background_is_joined_to_pieces_that_are_long_enough_and_loses_nothing():
    waves = [np.full(length, number, np.float32) for number, length in enumerate([3, 5, 2, 9, 1])]
    pieces = list(_joined(waves, 6))
    assert [len(piece) for piece in pieces] == [8, 11, 1]
    assert np.array_equal(np.concatenate(pieces), np.concatenate(waves))


def test_a_second_counts_once_with_its_largest_score():
    scores = np.array([[0.1, 0.2], [0.3, 0.1], [0.5, 0.4], [0.2, 0.9], [0.7, 0.7]], np.float32)
    assert _by_second(scores, 0.5).tolist() == pytest.approx([0.3, 0.2, 0.5, 0.9])


def test_scores_that_lie_further_apart_make_a_steeper_probability():
    generator = np.random.default_rng(0)
    noise = 0.1 * generator.standard_normal(500)
    apart = _slope(0.8 + noise, 0.2 + noise, 0.5)
    near = _slope(0.6 + noise, 0.4 + noise, 0.5)
    assert apart > near
