import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.evaluation.dtw import halved, warped_distances


def plain(one, other, band):
    """Sakoe and Chiba's symmetric warping, cell by cell; `one` is the longer sequence."""
    if len(one) < len(other):
        one, other = other, one
    n, m = len(one), len(other)
    cosine = one @ other.T / np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
    reach = max(band * n, 1, n / m)
    best = np.full((n, m), np.inf)
    for i in range(n):
        for j in range(m):
            if abs(i - j * (n - 1) / max(m - 1, 1)) > reach:
                continue
            cost = 1 - cosine[i, j]
            ways = [2 * cost] if i == j == 0 else []
            ways += [best[i - 1, j] + cost] if i else []
            ways += [best[i, j - 1] + cost] if j else []
            ways += [best[i - 1, j - 1] + 2 * cost] if i and j else []
            best[i, j] = min(ways, default=np.inf)
    return best[-1, -1] / (n + m)


@pytest.mark.parametrize("band", [0.1, 0.3, 1.0])
def test_distances_are_those_of_plain_loops(band):
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(length, 3)) for length in (7, 1, 12, 7, 2, 20)]
    found = warped_distances(sequences, band=band)
    for i, one in enumerate(sequences):
        for j, other in enumerate(sequences):
            assert found[i, j] == pytest.approx(0 if i == j else plain(one, other, band), abs=1e-5)


def test_a_slower_word_is_closer_than_another_word():
    rng = np.random.default_rng(1)
    word, other = rng.normal(size=(2, 30, 8))
    slow = word[np.linspace(0, 29, 45).round().astype(int)]
    found = warped_distances([word, slow, other])
    assert found[0, 1] < 0.01 < 0.3 < found[0, 2]


def test_too_many_sequences_are_refused():
    with pytest.raises(InputError, match="3 segments"):
        warped_distances([np.ones((2, 2))] * 3, most=2)


def test_two_frames_become_one():
    frames = np.random.default_rng(0).normal(size=(7, 4))
    assert halved(frames).shape == (4, 4)
    np.testing.assert_allclose(halved(frames)[0], frames[:2].mean(axis=0))
    np.testing.assert_allclose(halved(frames)[-1], frames[6])
