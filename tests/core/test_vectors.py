import numpy as np
import pytest

from earmark.core.vectors import cosine, unit, unit_mean, without_direction


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (0, 5)])
def test_unit_vectors_keep_their_direction_shape_and_precision(dtype, shape):
    vectors = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    found = unit(vectors)
    assert (found.shape, found.dtype) == (shape, dtype)
    plain = [row / np.sqrt(sum(float(value) ** 2 for value in row)) for row in vectors.reshape(-1, 5)]
    np.testing.assert_allclose(found.reshape(-1, 5), np.reshape(plain, (-1, 5)), rtol=1e-6)


def test_a_vector_without_direction_becomes_zero_and_has_cosine_0():
    rows = np.array([[0, 0], [0, 1e-13], [0, 1e-9], [2, 0]], np.float64)
    assert unit(rows).tolist() == [[0, 0], [0, 0], [0, 1], [1, 0]]
    assert unit(rows, tiny=1e-6).tolist() == [[0, 0], [0, 0], [0, 0], [1, 0]]
    assert cosine(rows, rows)[0].tolist() == [0, 0, 0, 0]


def test_a_vector_that_is_not_finite_stays_so_without_a_warning():
    found = unit(np.array([[np.nan, 1], [1, 2]], np.float32))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_cosines_agree_with_plain_loops():
    random = np.random.default_rng(1)
    queries, references = random.standard_normal((3, 7)), random.standard_normal((4, 7))
    plain = [[float(q @ r) / (np.sqrt(q @ q) * np.sqrt(r @ r)) for r in references] for q in queries]
    np.testing.assert_allclose(cosine(queries, references), plain, rtol=1e-12)


def test_the_mean_of_vectors_is_summed_in_double_precision():
    rows = np.repeat(np.array([[0.6, 0.8]], np.float32), 100_000, axis=0)
    found = unit_mean(rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rows[0], atol=1e-7)
    assert unit_mean(np.array([[1, 0], [-1, 0]], np.float32)).tolist() == [0, 0]


def test_rows_without_direction_are_named():
    rows = np.array([[1, 0], [0, 0], [np.inf, 0], [np.nan, 1], [0, 1e-3]], np.float32)
    assert without_direction(rows).tolist() == [1, 2, 3]
    assert without_direction(rows, tiny=1e-2).tolist() == [1, 2, 3, 4]
