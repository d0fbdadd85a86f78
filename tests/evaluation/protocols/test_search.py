import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.core.errors import InputError
from earmark.evaluation.protocols.search import (
    BETA,
    METRICS,
    Occurrence,
    QueryResult,
    average_precision,
    match_hits,
    max_term_weighted_value,
    precision_at,
    search_metrics,
)
from earmark.search import Hit


def result(right, scores=None, occurrences=None, label="w"):
    scores = np.linspace(0.9, 0.1, len(right)) if scores is None else np.array(scores, float)
    return QueryResult(scores, np.array(right, bool), occurrences or max(1, sum(right)), label)


@st.composite
def results(draw):
    """Results of a few queries, some with hits of equal score."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        right = draw(st.lists(st.booleans(), max_size=12))
        scores = sorted(draw(st.lists(st.integers(0, 8), min_size=len(right), max_size=len(right))), reverse=True)
        found.append(
            result(right, [score / 8 for score in scores], max(1, sum(right) + draw(st.integers(0, 3))), f"w{number}")
        )
    return found


@given(results())
def test_average_precision_is_the_mean_of_the_precisions_at_correct_hits(found):
    for one in found:
        total = 0.0
        right = 0
        for rank, is_right in enumerate(one.is_correct, 1):
            if is_right:
                right += 1
                total += right / rank
        assert average_precision(one) == pytest.approx(total / one.occurrences)


@given(results(), st.floats(2000, 1e6))
def test_the_maximum_is_that_over_all_thresholds(found, audio_s):
    def plain(threshold):
        misses = alarms = 0.0
        for one in found:
            accepted = [
                bool(right) for score, right in zip(one.scores, one.is_correct, strict=True) if score >= threshold
            ]
            misses += 1 - accepted.count(True) / one.occurrences
            alarms += accepted.count(False) / (audio_s - one.occurrences)
        return 1 - misses / len(found) - BETA * alarms / len(found)

    thresholds = [np.inf, *{float(score) for one in found for score in one.scores}]
    value, threshold = max_term_weighted_value(found, audio_s)
    assert value == pytest.approx(max(map(plain, thresholds)))
    assert plain(threshold) == pytest.approx(value)


@given(results(), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_a_query_of_weight_two_counts_like_two_queries(found, counts):
    counts = np.array(counts[: len(found)])
    if not counts.sum():
        return
    repeated = [one for one, count in zip(found, counts, strict=True) for _ in range(count)]
    assert max_term_weighted_value(found, 9e3, weights=counts)[0] == pytest.approx(
        max_term_weighted_value(repeated, 9e3)[0]
    )


def test_a_false_alarm_costs_beta_over_the_duration():
    one = result([True, False], occurrences=2)
    assert max_term_weighted_value([one], 3602.0) == pytest.approx((0.5, 0.9))
    assert max_term_weighted_value([result([False])], 3600.0) == (0.0, np.inf)
    assert max_term_weighted_value([result([])], 3600.0) == (0.0, np.inf)


def test_an_occurrence_is_matched_with_the_best_hit_only():
    occurrences = [Occurrence("a", 1.0, 1.6), Occurrence("a", 5.0, 5.6), Occurrence("b", 1.0, 1.6)]
    hits = [
        Hit("a", 1.1, 1.5, 0.9),
        Hit("a", 1.0, 1.7, 0.8),  # the same occurrence again
        Hit("b", 1.9, 2.3, 0.7),  # the middle is 0.5 s after the occurrence
        Hit("a", 5.9, 6.4, 0.6),  # the middle is 0.55 s after the occurrence
        Hit("c", 1.1, 1.5, 0.5),  # another file
    ]
    found = match_hits(hits[::-1], occurrences)
    assert found.is_correct.tolist() == [True, False, True, False, False]
    assert found.scores.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert found.occurrences == 3
    assert precision_at(found, 10) == pytest.approx(0.2)
    assert match_hits(hits, occurrences, tolerance_s=0.6).is_correct.tolist() == [True, False, True, True, False]


def test_a_hit_is_matched_with_the_nearest_occurrence():
    occurrences = [Occurrence("a", 1.0, 1.4), Occurrence("a", 1.5, 1.9)]
    assert match_hits([Hit("a", 1.4, 1.9, 0.9), Hit("a", 0.9, 1.4, 0.8)], occurrences).is_correct.all()


def test_a_sentence_with_a_word_twice_has_two_occurrences():
    twice = [Occurrence("a", 0.0, float("inf"))] * 2
    hits = [Hit("a", second, second + 0.4, 1 - second / 10) for second in range(3)]
    assert match_hits(hits, twice).is_correct.tolist() == [True, True, False]


def test_a_word_without_occurrences_is_refused():
    with pytest.raises(InputError, match=r"^casa"):
        match_hits([], [], label="casa")


def test_metrics_have_intervals_over_words():
    found = [result([True, False], label="a"), result([False, True], label="a"), result([True], label="b")]
    metrics = search_metrics(found, 3600.0, np.random.default_rng(0))
    assert list(metrics) == list(METRICS)
    assert metrics["map"].value == pytest.approx((1 + 0.5 + 1) / 3)
    assert metrics["precision_at_r"].value == pytest.approx(2 / 3)
    assert metrics["map"].low <= metrics["map"].value <= metrics["map"].high
    assert np.isnan(search_metrics(found, 3600.0)["map"].low)
