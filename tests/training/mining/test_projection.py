import numpy as np
import pytest

from earmark.training.mining.projection import fit_projection

faiss = pytest.importorskip("faiss")


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(500, 24)) @ rng.normal(size=(24, 24)) + rng.normal(size=24)).astype(np.float32)


def test_components_are_those_of_faiss(vectors):
    other = faiss.PCAMatrix(24, 6)
    other.train(vectors)
    expected = other.apply(vectors)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = fit_projection([vectors[:123], vectors[123:]], 6).apply(vectors)
    assert found.shape == (500, 6)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)


def test_components_are_those_of_a_singular_value_decomposition(vectors):
    centered = vectors - vectors.mean(axis=0)
    _, values, axes = np.linalg.svd(centered.astype(np.float64), full_matrices=False)
    projection = fit_projection([vectors], 6)
    np.testing.assert_allclose(np.abs((axes[:6] * projection.axes.T).sum(axis=1)), 1, atol=1e-5)
    assert projection.explained == pytest.approx((values[:6] ** 2).sum() / (values**2).sum())


def test_all_components_keep_the_cosines_of_centered_vectors(vectors):
    centered = vectors - vectors.mean(axis=0)
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    found = fit_projection([vectors], 128).apply(vectors)
    np.testing.assert_allclose(found @ found.T, centered @ centered.T, atol=1e-4)


def test_a_vector_equal_to_the_mean_becomes_zero():
    found = fit_projection([np.ones((3, 4), np.float32)], 2).apply(np.ones((3, 4), np.float32))
    assert found.tolist() == [[0, 0]] * 3
