import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from earmark.errors import InputError
from earmark.evaluation import backends


@pytest.fixture
def enrolled():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 5)), rng.normal(size=(9, 5)), np.array([2, 0, 1, 0, 2, 2, 1, 0, 2])


def test_a_prototype_equals_a_plain_loop(enrolled):
    queries, takes, owners = enrolled
    for keyword in range(3):
        rows = [row / np.linalg.norm(row) for row, owner in zip(takes, owners, strict=True) if owner == keyword]
        expected = cosine_similarity(queries, [np.mean(rows, axis=0)])[:, 0]
        np.testing.assert_allclose(backends.score(queries, takes, owners)[:, keyword], expected)


def test_the_best_take_equals_a_plain_loop(enrolled):
    queries, takes, owners = enrolled
    every = cosine_similarity(queries, takes)
    for keyword in range(3):
        found = backends.score(queries, takes, owners, backend="best-take")[:, keyword]
        np.testing.assert_allclose(found, every[:, owners == keyword].max(axis=1))


def test_with_one_take_each_both_back_ends_agree(enrolled):
    queries, takes, _ = enrolled
    owners = np.arange(9)
    np.testing.assert_allclose(
        backends.prototype(queries, takes, owners), backends.best_take(queries, takes, owners), atol=1e-12
    )


def test_the_length_of_a_take_does_not_count(enrolled):
    queries, takes, owners = enrolled
    louder = takes * np.arange(1, 10)[:, None]
    for backend in (backends.prototype, backends.best_take):
        np.testing.assert_allclose(backend(3 * queries, louder, owners), backend(queries, takes, owners))


def test_a_vector_of_zeros_is_alike_to_nothing(enrolled):
    _, takes, owners = enrolled
    assert not backends.prototype(np.zeros((1, 5)), takes, owners).any()


@pytest.mark.parametrize("owners", [[0, 2, 2], [-1, 0, 1], [0, 1]])
def test_keywords_that_are_not_numbered_from_zero_are_refused(owners):
    with pytest.raises(InputError):
        backends.prototype(np.ones((1, 2)), np.ones((3, 2)), np.array(owners))
