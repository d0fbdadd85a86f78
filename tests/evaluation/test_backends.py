import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.svm import SVC

from earmark.core.errors import InputError
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


def test_a_centroid_equals_the_cosine_to_the_plain_mean(enrolled):
    queries, takes, owners = enrolled
    means = [takes[owners == keyword].mean(axis=0) for keyword in range(3)]
    expected = cosine_similarity(queries, means)
    np.testing.assert_allclose(backends.score(queries, takes, owners, backend="centroid"), expected)


def test_a_longer_take_moves_the_centroid_and_not_the_prototype(enrolled):
    queries, takes, owners = enrolled
    louder = takes * np.arange(1, 10)[:, None]
    assert not np.allclose(backends.centroid(queries, louder, owners), backends.centroid(queries, takes, owners))


def test_the_best_take_is_the_same_in_blocks_of_any_size(enrolled, monkeypatch):
    queries, takes, owners = enrolled
    whole = backends.best_take(queries, takes, owners)
    monkeypatch.setattr(backends, "QUERIES_AT_ONCE", 2)
    np.testing.assert_allclose(backends.best_take(queries, takes, owners), whole)
    assert backends.best_take(queries[:0], takes, owners).shape == (0, 3)


def test_the_background_stands_against_every_machine(enrolled):
    queries, takes, owners = enrolled
    background = np.random.default_rng(1).normal(size=(20, 5))
    found = backends.score(queries, takes, owners, backend="svm", background=background)
    rows = np.concatenate([takes, background])
    for keyword in range(3):
        positive = np.append(owners == keyword, np.zeros(20, bool))
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        machine = SVC().fit(units, positive)
        expected = machine.decision_function(queries / np.linalg.norm(queries, axis=1, keepdims=True))
        np.testing.assert_allclose(found[:, keyword], expected)


def test_only_the_machines_look_at_the_background(enrolled):
    queries, takes, owners = enrolled
    for backend in ("prototype", "centroid", "best-take"):
        with_background = backends.score(queries, takes, owners, backend=backend, background=queries)
        np.testing.assert_array_equal(with_background, backends.score(queries, takes, owners, backend=backend))
