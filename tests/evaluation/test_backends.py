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
    queries, takes, keyword_ids = enrolled
    for keyword in range(3):
        rows = [row / np.linalg.norm(row) for row, one in zip(takes, keyword_ids, strict=True) if one == keyword]
        expected = cosine_similarity(queries, [np.mean(rows, axis=0)])[:, 0]
        np.testing.assert_allclose(backends.score(queries, takes, keyword_ids)[:, keyword], expected)


def test_the_best_take_equals_a_plain_loop(enrolled):
    queries, takes, keyword_ids = enrolled
    every = cosine_similarity(queries, takes)
    for keyword in range(3):
        found = backends.score(queries, takes, keyword_ids, backend="best-take")[:, keyword]
        np.testing.assert_allclose(found, every[:, keyword_ids == keyword].max(axis=1))


def test_with_one_take_each_both_back_ends_agree(enrolled):
    queries, takes, _ = enrolled
    keyword_ids = np.arange(9)
    np.testing.assert_allclose(
        backends.prototype(queries, takes, keyword_ids), backends.best_take(queries, takes, keyword_ids), atol=1e-12
    )


def test_the_length_of_a_take_does_not_count(enrolled):
    queries, takes, keyword_ids = enrolled
    louder = takes * np.arange(1, 10)[:, None]
    for backend in (backends.prototype, backends.best_take):
        np.testing.assert_allclose(backend(3 * queries, louder, keyword_ids), backend(queries, takes, keyword_ids))


def test_an_embedding_of_zeros_scores_zero(enrolled):
    _, takes, keyword_ids = enrolled
    assert not backends.prototype(np.zeros((1, 5)), takes, keyword_ids).any()


@pytest.mark.parametrize("keyword_ids", [[0, 2, 2], [-1, 0, 1], [0, 1]])
def test_keywords_that_are_not_numbered_from_zero_are_refused(keyword_ids):
    with pytest.raises(InputError):
        backends.prototype(np.ones((1, 2)), np.ones((3, 2)), np.array(keyword_ids))


def test_a_centroid_equals_the_cosine_to_the_plain_mean(enrolled):
    queries, takes, keyword_ids = enrolled
    means = [takes[keyword_ids == keyword].mean(axis=0) for keyword in range(3)]
    expected = cosine_similarity(queries, means)
    np.testing.assert_allclose(backends.score(queries, takes, keyword_ids, backend="centroid"), expected)


def test_a_longer_take_moves_the_centroid_and_not_the_prototype(enrolled):
    queries, takes, keyword_ids = enrolled
    louder = takes * np.arange(1, 10)[:, None]
    assert not np.allclose(
        backends.centroid(queries, louder, keyword_ids), backends.centroid(queries, takes, keyword_ids)
    )


def test_the_best_take_is_the_same_in_blocks_of_any_size(enrolled):
    queries, takes, keyword_ids = enrolled
    whole = backends.best_take(queries, takes, keyword_ids)
    np.testing.assert_allclose(backends.best_take(queries, takes, keyword_ids, block=2), whole)
    assert backends.best_take(queries[:0], takes, keyword_ids).shape == (0, 3)


def test_background_clips_are_negatives_of_every_svm(enrolled):
    queries, takes, keyword_ids = enrolled
    background = np.random.default_rng(1).normal(size=(20, 5))
    found = backends.score(queries, takes, keyword_ids, backend="svm", background=background)
    rows = np.concatenate([takes, background])
    for keyword in range(3):
        positive = np.append(keyword_ids == keyword, np.zeros(20, bool))
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        svm = SVC().fit(units, positive)
        expected = svm.decision_function(queries / np.linalg.norm(queries, axis=1, keepdims=True))
        np.testing.assert_allclose(found[:, keyword], expected)


def test_other_back_ends_ignore_the_background(enrolled):
    queries, takes, keyword_ids = enrolled
    for backend in ("prototype", "centroid", "best-take"):
        with_background = backends.score(queries, takes, keyword_ids, backend=backend, background=queries)
        np.testing.assert_array_equal(with_background, backends.score(queries, takes, keyword_ids, backend=backend))
