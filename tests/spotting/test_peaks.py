from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.spotting.peaks import UNKNOWN, Peak, PeakPicker

LENGTH = 10


def pick(
    curves,
    cuts=(),
    *,
    threshold=0.5,
    level=None,
    hold=5,
    rest=8,
    rise=-np.inf,
    exclusive=True,
    length: Any = LENGTH,
    admit=None,
) -> list[Peak]:
    """Peaks of score curves, shape (t, k), watched in pieces; `threshold`, `level` and `length` are broadcast."""
    scores = np.asarray(curves, np.float32)
    scores = scores[:, None] if scores.ndim == 1 else scores
    thresholds = np.broadcast_to(np.float32(threshold), scores.shape[1:])
    lengths = np.broadcast_to(length, scores.shape)
    picker = PeakPicker(
        thresholds,
        hold=hold,
        rests=[rest] * len(thresholds),
        span=int(lengths.max()),
        rises=[float(number) for number in np.broadcast_to(rise, scores.shape[1:])],
        exclusive=exclusive,
        levels=None if level is None else np.broadcast_to(np.float32(level), scores.shape[1:]),
        admit=admit,
    )
    found = []
    for piece in np.split(np.arange(len(scores)), cuts):
        found += picker.push(scores[piece], piece + 1, lengths[piece])
    return found + picker.finish()


def bump(frames, middle, height=0.9, width=3.0):
    return height * np.exp(-(((np.arange(frames) - middle) / width) ** 2))


def assert_waits_are_short(curves, lengths, hold):
    span = int(lengths.max())
    picker = PeakPicker(
        np.full(curves.shape[1], 0.3, np.float32), hold=hold, rests=[8] * curves.shape[1], span=span, exclusive=True
    )
    for row in range(len(curves)):
        for peak in picker.push(curves[[row]], np.array([row + 1]), lengths[[row]]):
            assert peak.stop + hold <= row + 1 <= peak.stop + hold + span


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
    picker = PeakPicker(np.array([0.5], np.float32), hold=5, rests=[8], span=LENGTH, exclusive=True)
    curve = np.array([0, 0.7, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8], np.float32)
    rows = [picker.push(curve[[i], None], np.array([i + 1]), np.array([[LENGTH]])) for i in range(len(curve))]
    assert [len(row) for row in rows].index(1) == 2 + 5


def reported_rows(curve: Any, rise: float) -> list[tuple[int, int]]:
    """Row at which each peak of one curve is reported, and the end of its window."""
    picker = PeakPicker(np.array([0.5], np.float32), hold=9, rests=[12], span=LENGTH, rises=[rise], exclusive=True)
    rows = np.asarray(curve, np.float32)[:, None]
    return [
        (row, peak.stop)
        for row in range(len(rows))
        for peak in picker.push(rows[[row]], np.array([row + 1]), np.array([[LENGTH]]))
    ]


def test_a_peak_is_reported_where_the_score_rises_slowly_or_falls() -> None:
    curve = [0.1, 0.3, 0.6, 0.8, 0.85, 0.8, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    assert reported_rows(curve, -np.inf) == [(13, 5)]
    assert reported_rows(curve, -0.2) == [(6, 5)]
    assert reported_rows(curve, 0.0) == [(5, 5)]
    assert reported_rows(curve, 0.1) == [(4, 5)]
    assert reported_rows(curve, 0.25) == [(3, 4)]


def test_a_score_that_rises_slowly_below_the_threshold_reports_nothing() -> None:
    assert reported_rows([0.4, 0.41, 0.42, 0.6, 0.8, 0.8], 0.1) == [(5, 5)]


def test_a_word_is_reported_once_although_its_score_rises_again() -> None:
    rippled = bump(60, 30, 0.9, width=6)
    rippled[27] = rippled[26]
    assert len(pick(rippled, rise=0.0)) == 1


def test_scores_of_other_encoders_in_between_do_not_report_a_peak() -> None:
    curve = bump(60, 30, 0.9, width=6).astype(np.float32)
    with_gaps = np.full(120, UNKNOWN, np.float32)
    with_gaps[::2] = curve
    ends = [(row // 2, (stop + 1) // 2) for row, stop in reported_rows(with_gaps, 0.01)]
    assert ends == reported_rows(curve, 0.01)


def test_a_keyword_that_waits_is_beaten_by_the_phrase_that_contains_it() -> None:
    word, phrase = bump(80, 30, 0.7, width=6), bump(80, 37, 0.9, width=4)
    curves, lengths = np.stack([word, phrase], axis=1), np.broadcast_to([10, 18], (80, 2))
    hasty = [peak.keyword for peak in pick(curves, length=lengths, rise=0.0, hold=8)]
    patient = [peak.keyword for peak in pick(curves, length=lengths, rise=(-np.inf, 0.0), hold=8)]
    assert (hasty, patient) == ([0, 1], [1])


def test_a_peak_still_open_at_the_end_is_reported():
    assert [peak.stop for peak in pick(np.linspace(0, 0.9, 20))] == [20]


def test_a_strong_peak_is_reported_soon_after_a_weak_one():
    weak_first = bump(100, 30, 0.6) + bump(100, 40, 0.9)
    assert [peak.stop for peak in pick(weak_first)] == [31, 41]
    assert [peak.stop for peak in pick(weak_first, threshold=0.7)] == [41]


def test_a_peak_that_a_reported_one_covers_is_dropped():
    # The second peak is better, but the first was not followed by a better score for as long as a peak is held.
    assert [peak.stop for peak in pick(bump(100, 30, 0.6) + bump(100, 40, 0.9), length=30)] == [31]


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_keyword_is_not_affected_by_others_elsewhere(exclusive):
    curves = np.stack([bump(200, 30) + bump(200, 60), bump(200, 100), bump(200, 150)], axis=1)
    stops = [(peak.keyword, peak.stop) for peak in pick(curves, exclusive=exclusive)]
    assert stops == [(0, 31), (0, 61), (1, 101), (2, 151)]


def test_the_better_of_two_overlapping_keywords_is_reported():
    curves = np.stack([bump(80, 30, 0.7, width=6), bump(80, 33, 0.9)], axis=1)
    assert [(peak.keyword, peak.stop) for peak in pick(curves)] == [(1, 34)]
    assert {peak.keyword for peak in pick(curves, exclusive=False)} == {0, 1}


@pytest.mark.parametrize(("thresholds", "best"), [((0.5, 0.5), 1), ((0.5, 0.75), 0), ((0.8, 0.5), 1)])
def test_rivals_compare_their_margins_over_their_own_thresholds(thresholds, best):
    curves = np.stack([bump(80, 30, 0.8, width=6), bump(80, 33, 0.9)], axis=1)
    assert [peak.keyword for peak in pick(curves, threshold=thresholds)] == [best]


def test_a_peak_waits_for_a_rival_that_rises_later():
    # The second keyword contains the first: it ends later, and is open when the first one closes.
    curves = np.stack([bump(80, 30, 0.7, width=6), bump(80, 37, 0.9, width=6)], axis=1)
    lengths = np.broadcast_to([10, 18], curves.shape)
    assert [peak.keyword for peak in pick(curves, length=lengths)] == [1]


def test_a_beaten_rival_beats_no_other():
    curves = np.stack([bump(80, 30, 0.7), bump(80, 34, 0.8), bump(80, 38, 0.9)], axis=1)
    assert [(peak.keyword, peak.stop) for peak in pick(curves)] == [(0, 31), (2, 39)]


def test_a_peak_waits_for_a_better_rival_that_waits():
    curves = np.stack([bump(80, 30, 0.7), bump(80, 34, 0.9), bump(80, 38, 0.8)], axis=1)
    assert [(peak.keyword, peak.stop) for peak in pick(curves)] == [(1, 35)]


def test_a_peak_waits_for_a_row_of_rivals_no_longer_than_a_window():
    # Each of ten keywords covers the one before, and is better.
    curves = np.stack([bump(80, 20 + 4 * number, 0.6 + 0.03 * number) for number in range(10)], axis=1)
    assert_waits_are_short(curves, np.full(curves.shape, LENGTH), hold=5)


def test_two_keywords_one_after_the_other_are_both_reported():
    curves = np.stack([bump(80, 30, 0.7), bump(80, 30 + LENGTH, 0.9)], axis=1)
    assert [(peak.keyword, peak.stop) for peak in pick(curves)] == [(0, 31), (1, 41)]


def test_equal_scores_go_to_the_first_keyword():
    assert [peak.keyword for peak in pick(np.stack([bump(60, 30)] * 3, axis=1))] == [0]


def test_a_refused_peak_drops_no_other():
    curves = np.stack([bump(80, 30, 0.9), bump(80, 33, 0.7)], axis=1)
    assert [peak.keyword for peak in pick(curves, admit=lambda peak: peak if peak.keyword else None)] == [1]
    two = bump(100, 30, 0.9) + bump(100, 45, 0.7)
    kept = pick(two, rest=50, admit=lambda peak: peak if peak.stop > 40 else None)
    assert [peak.stop for peak in kept] == [46]


def test_a_candidate_needs_the_threshold_after_it_is_scored_again():
    curve = bump(200, 30, 0.4) + bump(200, 90, 0.9) + bump(200, 150, 0.2)

    def score_again(peak):
        return replace(peak, score=1.3 - peak.score)

    assert [(peak.stop, round(peak.score, 3)) for peak in pick(curve, level=0.3, admit=score_again)] == [(31, 0.9)]
    assert [peak.stop for peak in pick(curve, level=0.3, threshold=0.3, admit=score_again)] == [31, 91]
    assert pick(curve, level=0.95, threshold=0.3, admit=score_again) == []


def test_a_candidate_below_the_threshold_rests_its_keyword():
    two = bump(100, 30, 0.9) + bump(100, 45, 0.7)
    asked: list[int] = []

    def score_again(peak):
        asked.append(peak.stop)
        return replace(peak, score=0.1)

    assert pick(two, rest=50, level=0.3, admit=score_again) == []
    assert asked == [31]


def test_rivals_compare_the_scores_that_they_got_again():
    curves = np.stack([bump(80, 30, 0.7, width=6), bump(80, 33, 0.9)], axis=1)
    again = pick(curves, level=0.3, admit=lambda peak: replace(peak, score=0.9 if peak.keyword == 0 else 0.6))
    assert [peak.keyword for peak in again] == [0]


def test_each_refused_word_is_asked_about_once():
    asked: list[Peak] = []
    pick(bump(200, 30) + bump(200, 90, width=12), rest=50, admit=asked.append)
    assert [peak.stop for peak in asked] == [31, 91]


heights = st.floats(0, 1, width=32)
curves_of_any_kind = arrays(np.float32, st.tuples(st.integers(1, 60), st.integers(1, 4)), elements=heights)
smooth_curves = arrays(np.float32, st.tuples(st.integers(1, 15), st.integers(1, 4)), elements=heights).map(
    lambda corners: np.stack(
        [np.interp(np.arange(8 * len(corners)) / 8, np.arange(len(corners)), column) for column in corners.T], axis=1
    ).astype(np.float32)
)
all_curves = st.one_of(curves_of_any_kind, smooth_curves)
frame_counts = st.integers(0, 20)
rises = st.sampled_from([-np.inf, -0.1, 0.0, 0.02, 0.1, 0.5])


def drawn_lengths(data, curves):
    """Lengths of the windows of scores, as they vary with the tempo."""
    return data.draw(arrays(np.int64, curves.shape, elements=st.integers(4, 24), fill=st.just(12)))


def picked(data, curves, **settings):
    """The peaks of curves in drawn pieces."""
    return pick(curves, data.draw(st.lists(st.integers(0, len(curves)), max_size=8).map(sorted)), **settings)


@given(curves=all_curves, data=st.data(), exclusive=st.booleans(), hold=frame_counts, rest=frame_counts, rise=rises)
def test_chunking_does_not_matter(curves, data, exclusive, hold, rest, rise):
    settings: dict[str, Any] = {"length": drawn_lengths(data, curves), "exclusive": exclusive}
    settings |= {"hold": hold, "rest": rest, "rise": rise}
    assert picked(data, curves, **settings) == pick(curves, **settings)


@given(curves=all_curves, data=st.data(), low=heights, high=heights, hold=frame_counts, rest=frame_counts, rise=rises)
def test_a_lower_threshold_loses_no_peak_of_a_keyword(curves, data, low, high, hold, rest, rise):
    low, high = sorted([low, high])
    settings: dict[str, Any] = {"length": drawn_lengths(data, curves), "exclusive": False}
    settings |= {"hold": hold, "rest": rest, "rise": rise}
    more = picked(data, curves, threshold=low, **settings)
    for peak in picked(data, curves, threshold=high, **settings):
        assert any(other.keyword == peak.keyword and other.covers(peak) for other in more)


@given(curves=all_curves, data=st.data(), hold=frame_counts, rest=frame_counts, rise=rises)
def test_with_lower_thresholds_each_peak_is_covered_by_one_of_some_keyword(curves, data, hold, rest, rise):
    low, high = np.sort(data.draw(arrays(np.float32, (2, curves.shape[1]), elements=heights)), axis=0)
    settings: dict[str, Any] = {"length": drawn_lengths(data, curves), "hold": hold, "rest": rest, "rise": rise}
    more = picked(data, curves, threshold=low, **settings)
    assert all(any(other.covers(peak) for other in more) for peak in picked(data, curves, threshold=high, **settings))


@given(curves=all_curves, data=st.data(), threshold=heights, exclusive=st.booleans(), refuses=st.booleans())
def test_a_lower_threshold_loses_no_peak_in_the_voice_of_the_speaker(curves, data, threshold, exclusive, refuses):
    lengths = drawn_lengths(data, curves)
    voices = data.draw(arrays(np.bool_, curves.shape))

    def admit(peak):
        return peak if voices[peak.stop - 1, peak.keyword] else None

    settings: dict[str, Any] = {"length": lengths, "exclusive": exclusive, "admit": admit if refuses else None}
    more = picked(data, curves, threshold=threshold / 2, **settings)
    for peak in picked(data, curves, threshold=threshold, **settings):
        assert any((exclusive or other.keyword == peak.keyword) and other.covers(peak) for other in more)


@given(curves=all_curves, data=st.data(), exclusive=st.booleans(), hold=frame_counts, rest=frame_counts, rise=rises)
def test_peaks_of_a_keyword_never_overlap_by_more_than_half(curves, data, exclusive, hold, rest, rise):
    lengths = drawn_lengths(data, curves)
    peaks = pick(curves, length=lengths, threshold=0.1, exclusive=exclusive, hold=hold, rest=rest, rise=rise)
    for number, peak in enumerate(peaks):
        assert peak.score == curves[peak.stop - 1, peak.keyword] >= np.float32(0.1)
        assert not any(other.keyword == peak.keyword and other.covers(peak) for other in peaks[:number])


@given(
    rise=st.lists(heights, min_size=1, max_size=40, unique=True).map(sorted),
    fall=st.lists(heights, max_size=40).map(lambda scores: sorted(scores, reverse=True)),
    threshold=heights,
    hold=st.integers(1, 20),
    rest=frame_counts,
)
def test_a_single_bump_is_one_peak(rise, fall, threshold, hold, rest):
    curve = np.array([*rise, *fall], np.float32)
    stops = [peak.stop for peak in pick(curve, threshold=threshold, hold=hold, rest=rest)]
    if max(rise) < max(fall, default=0):
        rise = [*rise, max(fall)]
    assert stops == ([len(rise)] if max(rise) >= np.float32(threshold) else [])


@given(
    tops=st.tuples(st.floats(0.6, 1), st.floats(0.6, 1)),
    valley=st.floats(0, 0.59),
    width=st.floats(2, 7),
    distance=st.integers(27, 60),
    threshold=st.floats(0.05, 0.6),
)
def test_a_word_said_twice_with_a_pause_is_two_peaks(tops, valley, width, distance, threshold):
    # Frames of 40 ms: a word of 0.6 s, a pause of 0.5 s or more, the default settings of the detector.
    curve = np.maximum(bump(160, 40, tops[0], width), bump(160, 40 + distance, tops[1], width))
    curve[40 : 40 + distance] = np.maximum(curve[40 : 40 + distance], valley)
    stops = [peak.stop for peak in pick(curve, threshold=threshold, hold=8, rest=12, length=15)]
    assert stops == [41, 41 + distance]


@given(curves=all_curves, data=st.data())
def test_of_two_keywords_in_the_same_audio_one_is_reported_unless_a_better_one_opens_later(curves, data):
    lengths = drawn_lengths(data, curves)
    thresholds = data.draw(arrays(np.float32, curves.shape[1:], elements=heights))
    peaks = pick(curves, length=lengths, threshold=thresholds)
    for number, peak in enumerate(peaks):
        for earlier in peaks[:number]:
            if earlier.covers(peak):
                assert peak.score - thresholds[peak.keyword] > earlier.score - thresholds[earlier.keyword]


@given(data=st.data(), shape=st.tuples(st.integers(1, 60), st.integers(2, 4)))
def test_of_rivals_only_the_margins_matter(data, shape):
    # In steps of 1/64, which floats hold exactly.
    curves = data.draw(arrays(np.int64, shape, elements=st.integers(0, 64))) / 64
    shifts = data.draw(arrays(np.int64, shape[1:], elements=st.integers(-64, 64))) / 64
    shifted = pick(curves + shifts, threshold=0.5 + shifts)
    assert [(peak.keyword, peak.stop) for peak in shifted] == [(peak.keyword, peak.stop) for peak in pick(curves)]


@given(curves=all_curves, data=st.data(), hold=frame_counts)
def test_a_peak_waits_for_its_rivals_no_longer_than_a_window(curves, data, hold):
    assert_waits_are_short(curves, drawn_lengths(data, curves), hold)


@given(curves=all_curves)
def test_nothing_is_reported_exactly_where_nothing_reaches_the_threshold(curves):
    assert bool(pick(curves)) == bool((curves >= 0.5).any())
