import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.core.errors import InputError
from earmark.evaluation.protocols.search import (
    BETA,
    NUMBERS,
    Judged,
    Place,
    average_precision,
    judge,
    max_term_weighted_value,
    measure,
    precision_at,
    term_weighted_value,
)
from earmark.search import Hit


def judged(right, scores=None, places=None, label="w"):
    scores = np.linspace(0.9, 0.1, len(right)) if scores is None else np.array(scores, float)
    return Judged(scores, np.array(right, bool), places or max(1, sum(right)), label)


@st.composite
def queries(draw):
    """A few queries with hits in falling order, some of equal score."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        right = draw(st.lists(st.booleans(), max_size=12))
        scores = sorted(draw(st.lists(st.integers(0, 8), min_size=len(right), max_size=len(right))), reverse=True)
        found.append(
            judged(right, [score / 8 for score in scores], max(1, sum(right) + draw(st.integers(0, 3))), f"w{number}")
        )
    return found


@given(queries())
def test_average_precision_is_the_mean_of_the_precisions_at_right_hits(found):
    for one in found:
        total = 0.0
        right = 0
        for rank, is_right in enumerate(one.is_right, 1):
            if is_right:
                right += 1
                total += right / rank
        assert average_precision(one) == pytest.approx(total / one.places)


@given(queries(), st.floats(2000, 1e6))
def test_the_greatest_value_is_found_by_trying_every_threshold(found, sound_s):
    def plain(threshold):
        misses = alarms = 0.0
        for one in found:
            accepted = [
                bool(right) for score, right in zip(one.scores, one.is_right, strict=True) if score >= threshold
            ]
            misses += 1 - accepted.count(True) / one.places
            alarms += accepted.count(False) / (sound_s - one.places)
        return 1 - misses / len(found) - BETA * alarms / len(found)

    thresholds = [np.inf, *{float(score) for one in found for score in one.scores}]
    for threshold in thresholds:
        assert term_weighted_value(found, threshold, sound_s) == pytest.approx(plain(threshold))
    value, threshold = max_term_weighted_value(found, sound_s)
    assert value == pytest.approx(max(map(plain, thresholds)))
    assert plain(threshold) == pytest.approx(value)


@given(queries(), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_a_query_that_counts_twice_is_as_good_as_two(found, counts):
    counts = np.array(counts[: len(found)])
    if not counts.sum():
        return
    repeated = [one for one, count in zip(found, counts, strict=True) for _ in range(count)]
    assert max_term_weighted_value(found, 9e3, weights=counts)[0] == pytest.approx(
        max_term_weighted_value(repeated, 9e3)[0]
    )


def test_a_false_alarm_costs_what_the_formula_says():
    one = judged([True, False], places=2)
    # Half of the places missed, and one false alarm in 3602 s, of which 2 were no chance for one.
    assert term_weighted_value([one], 0.0, 3602.0) == pytest.approx(1 - 0.5 - BETA / 3600)
    assert max_term_weighted_value([one], 3602.0) == (pytest.approx(0.5), pytest.approx(0.9))
    assert max_term_weighted_value([judged([False])], 3600.0) == (0.0, np.inf)
    assert max_term_weighted_value([judged([])], 3600.0) == (0.0, np.inf)


def test_a_place_is_given_to_the_best_hit_there_and_to_no_other():
    places = [Place("a", 1.0, 1.6), Place("a", 5.0, 5.6), Place("b", 1.0, 1.6)]
    hits = [
        Hit("a", 1.1, 1.5, 0.9),
        Hit("a", 1.0, 1.7, 0.8),  # the same place again
        Hit("b", 1.9, 2.3, 0.7),  # its middle 0.5 s behind the place
        Hit("a", 5.9, 6.4, 0.6),  # … 0.55 s behind
        Hit("c", 1.1, 1.5, 0.5),  # another file
    ]
    found = judge(hits[::-1], places)
    assert found.is_right.tolist() == [True, False, True, False, False]
    assert found.scores.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert (found.places, precision_at(found, 10)) == (3, pytest.approx(0.2))
    assert judge(hits, places, tolerance_s=0.6).is_right.tolist() == [True, False, True, True, False]


def test_a_hit_takes_the_place_that_it_is_deepest_in():
    places = [Place("a", 1.0, 1.4), Place("a", 1.5, 1.9)]
    assert judge([Hit("a", 1.4, 1.9, 0.9), Hit("a", 0.9, 1.4, 0.8)], places).is_right.all()


def test_a_sentence_that_says_a_word_twice_holds_two_places():
    twice = [Place("a", 0.0, float("inf"))] * 2
    hits = [Hit("a", second, second + 0.4, 1 - second / 10) for second in range(3)]
    assert judge(hits, twice).is_right.tolist() == [True, True, False]


def test_a_word_that_is_said_nowhere_cannot_be_judged():
    with pytest.raises(InputError, match="casa: said nowhere"):
        judge([], [], label="casa")


def test_numbers_come_with_an_interval_over_words():
    found = [judged([True, False], label="a"), judged([False, True], label="a"), judged([True], label="b")]
    numbers = measure(found, 3600.0, np.random.default_rng(0))
    assert list(numbers) == list(NUMBERS)
    assert numbers["map"].value == pytest.approx((1 + 0.5 + 1) / 3)
    assert numbers["precision_at_r"].value == pytest.approx(2 / 3)
    assert numbers["map"].low <= numbers["map"].value <= numbers["map"].high
    assert np.isnan(measure(found, 3600.0)["map"].low)
