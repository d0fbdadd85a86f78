import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from earmark.data.lists.spans import Span
from earmark.data.segments.grid import Grid, grid_segments


def section(start_s, length_s):
    return Span("a.wav", "anna", start_s, start_s + length_s)


def spans(start_s, length_s, **settings):
    return [(s.start_s, s.end_s) for s in grid_segments([section(start_s, length_s)], Grid(**settings))]


@given(start_s=st.integers(0, 10**6).map(lambda ms: ms / 1000), length_ms=st.integers(30, 8000))
def test_there_are_as_many_segments_as_the_formula_says(start_s, length_ms):
    """A section of n whole steps of 160 ms has n - k + 1 segments of k steps, for k up to 6."""
    n = length_ms // 160
    count = sum(n - k + 1 for k in range(1, min(6, n) + 1))
    assert count == (n * (n + 1) // 2 if n <= 6 else 6 * n - 15)
    found = spans(start_s, length_ms / 1000)
    assert len(found) == len(set(found)) == count == Grid().count(section(start_s, length_ms / 1000))


@given(start_ms=st.integers(0, 10**6), length_ms=st.integers(30, 5000))
def test_segments_are_those_of_plain_loops_in_whole_milliseconds(start_ms, length_ms):
    lines = range(start_ms, start_ms + length_ms + 1, 160)
    plain = [(a / 1000, b / 1000) for a, b in itertools.combinations(lines, 2) if 160 <= b - a <= 960]
    found = spans(start_ms / 1000, length_ms / 1000)
    assert [(round(a, 6), round(b, 6)) for a, b in found] == plain


def test_a_section_shorter_than_a_step_has_no_segment():
    found = list(grid_segments([section(0, 0.1), section(1, 0.17)]))
    assert [(segment.start_s, segment.end_s, segment.label) for segment in found] == [(1, 1.16, "")]


def test_segments_are_generated_on_demand():
    endless = grid_segments(section(second, 2.0) for second in itertools.count())
    assert len(list(itertools.islice(endless, 10_000))) == 10_000


def test_steps_and_lengths_are_settings():
    assert spans(0.0, 0.5, step_s=0.1, shortest_s=0.25, longest_s=0.3) == [(0.0, 0.3), (0.1, 0.4), (0.2, 0.5)]


@pytest.mark.parametrize(
    "settings",
    [
        {"step_s": 0.0},
        {"step_s": float("nan")},
        {"shortest_s": 0.01},
        {"longest_s": 0.1},
        {"step_s": 0.5, "longest_s": 0.4},
    ],
)
def test_settings_that_give_no_segment_are_refused(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        Grid(**settings)
