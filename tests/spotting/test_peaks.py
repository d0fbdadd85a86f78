from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.spotting.peaks import Peak, PeakPicker

LENGTH = 10


def pick(curves, cuts=(), *, threshold=0.5, hold=5, rest=8, exclusive=True, length=LENGTH):
    """Peaks of score curves, shape (t, k), watched in pieces."""
    scores = np.asarray(curves, np.float32)
    scores = scores[:, None] if scores.ndim == 1 else scores
    thresholds = np.full(scores.shape[1], threshold, np.float32)
    picker = PeakPicker(thresholds, hold=hold, rest=rest, span=length, exclusive=exclusive)
    found = []
    for piece in np.split(np.arange(len(scores)), cuts):
        found += picker.push(scores[piece], piece + 1, np.full((len(piece), scores.shape[1]), length))
    return found + picker.finish()


def bump(frames, middle, height=0.9, width=3.0):
    return height * np.exp(-(((np.arange(frames) - middle) / width) ** 2))


def test_a_bump_is_one_peak_at_its_top():
    score: Any = pytest.approx(0.9)
    assert pick(bump(60, 30)) == [Peak(0, 31 - LENGTH, 31, score)]


def test_a_bump_below_the_threshold_is_none():
    assert pick(bump(60, 30, height=0.49)) == []


def test_two_words_are_two_peaks_and_a_ripple_is_not():
    assert [peak.stop for peak in pick(bump(100, 30) + bump(100, 60))] == [31, 61]
    rippled = bump(60, 30)
    rippled[34:37] = [0.4, 0.55, 0.4]
    assert [peak.stop for peak in pick(rippled)] == [31]


def test_a_plateau_is_reported_once_however_long():
    curve = np.full(200, 0.8)
    curve[:20] = 0
    assert [peak.stop for peak in pick(curve)] == [21]


def test_a_peak_is_reported_before_the_score_falls():
    picker = PeakPicker(np.array([0.5], np.float32), hold=5, rest=8, span=LENGTH, exclusive=True)
    curve = np.array([0, 0.7, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8], np.float32)
    rows = [picker.push(curve[[i], None], np.array([i + 1]), np.array([[LENGTH]])) for i in range(len(curve))]
    assert [len(row) for row in rows].index(1) == 2 + 5


def test_a_peak_still_open_at_the_end_is_reported():
    assert [peak.stop for peak in pick(np.linspace(0, 0.9, 20))] == [20]


def test_the_better_of_two_overlapping_keywords_is_reported():
    curves = np.stack([bump(80, 30, 0.7, width=6), bump(80, 33, 0.9)], axis=1)
    assert [(peak.keyword, peak.stop) for peak in pick(curves)] == [(1, 34)]
    assert {peak.keyword for peak in pick(curves, exclusive=False)} == {0, 1}


def test_two_keywords_one_after_the_other_are_both_reported():
    curves = np.stack([bump(80, 30, 0.7), bump(80, 30 + LENGTH, 0.9)], axis=1)
    assert [(peak.keyword, peak.stop) for peak in pick(curves)] == [(0, 31), (1, 41)]


def test_equal_scores_go_to_the_first_keyword():
    assert [peak.keyword for peak in pick(np.stack([bump(60, 30)] * 3, axis=1))] == [0]


curves_of_any_kind = arrays(
    np.float32, st.tuples(st.integers(1, 60), st.integers(1, 4)), elements=st.floats(0, 1, width=32)
)


@given(curves=curves_of_any_kind, data=st.data(), exclusive=st.booleans())
def test_chunking_does_not_matter(curves, data, exclusive):
    cuts = data.draw(st.lists(st.integers(0, len(curves)), max_size=8).map(sorted))
    assert pick(curves, cuts, exclusive=exclusive) == pick(curves, exclusive=exclusive)


@given(curves=curves_of_any_kind)
def test_reported_peaks_are_above_the_threshold_and_apart(curves):
    peaks = pick(curves)
    assert all(peak.score >= 0.5 and peak.score == curves[peak.stop - 1, peak.keyword] for peak in peaks)
    for keyword in range(curves.shape[1]):
        stops = [peak.stop for peak in peaks if peak.keyword == keyword]
        assert all(np.diff(stops) > LENGTH // 2 - 1)


@given(curves=curves_of_any_kind)
def test_nothing_is_reported_exactly_where_nothing_reaches_the_threshold(curves):
    assert bool(pick(curves)) == bool((curves >= 0.5).any())
