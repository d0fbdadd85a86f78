import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from earmark.core.errors import InputError
from earmark.evaluation import metrics


def rates_one_by_one(scores, positive, threshold):
    far = sum(s >= threshold and not p for s, p in zip(scores, positive, strict=True)) / sum(not p for p in positive)
    frr = sum(s < threshold and p for s, p in zip(scores, positive, strict=True)) / sum(bool(p) for p in positive)
    return far, frr


def every_rate(scores, positive):
    return [rates_one_by_one(scores, positive, threshold) for threshold in [np.inf, *sorted(set(scores), reverse=True)]]


def published_eer(scores, positive):
    far, hit, _ = sk.roc_curve(positive, scores)
    frr = 1 - hit
    nearest = np.nanargmin(np.abs(frr - far))
    return max(far[nearest], frr[nearest])


@st.composite
def trials(draw):
    """Scores on a coarse grid, so that many are equal, of positive and negative trials."""
    scores = draw(st.lists(st.integers(-5, 5), min_size=2, max_size=40))
    positive = draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    positive[0], positive[-1] = True, False
    return np.array(scores, float), np.array(positive)


@given(trials())
def test_the_curve_equals_rates_counted_one_by_one(case):
    curve = metrics.error_curve(*case)
    np.testing.assert_allclose(np.stack([curve.far, curve.frr], axis=1), every_rate(*case), atol=1e-12)


@given(trials())
def test_corners_auc_and_the_published_eer_equal_those_of_sklearn(case):
    scores, positive = case
    curve = metrics.error_curve(scores, positive)
    far, hit, thresholds = sk.roc_curve(positive, scores)
    kept = metrics.corners(curve)
    np.testing.assert_allclose(np.stack([kept.far, 1 - kept.frr, kept.thresholds]), [far, hit, thresholds], atol=1e-12)
    assert metrics.area_under_curve(curve) == pytest.approx(sk.roc_auc_score(positive, scores))
    # If two corners are equally near, rounding chooses between them; both are correct.
    candidates = [max(f, 1 - h) for f, h in zip(far, hit, strict=True)
                  if abs(1 - h - f) < np.abs(1 - hit - far).min() + 1e-9]  # fmt: skip
    assert min(abs(metrics.equal_error_rate_at_point(curve) - value) for value in candidates) < 1e-9


@given(trials())
def test_the_interpolated_eer_is_on_the_curve_where_both_errors_are_equal(case):
    curve = metrics.error_curve(*case)
    eer = metrics.equal_error_rate(curve)
    points = every_rate(*case)
    crossings = []
    for (far, frr), (far_next, frr_next) in pairwise(points):
        before, after = frr - far, frr_next - far_next
        if before >= 0 >= after and before != after:
            crossings.append(far + before / (before - after) * (far_next - far))
    assert min(abs(eer - crossing) for crossing in crossings) < 1e-12
    assert eer <= metrics.equal_error_rate_at_point(curve) + 1e-12


@given(trials(), st.sampled_from([0.0, 0.01, 0.025, 0.1, 0.3, 1.0]))
def test_frr_at_far_is_the_smallest_frr_among_thresholds_with_far_at_most_x(case, x):
    expected = min(frr for far, frr in every_rate(*case) if far <= x)
    assert metrics.frr_at_far(metrics.error_curve(*case), x) == pytest.approx(expected)


def test_a_far_that_is_reached_exactly_is_allowed():
    scores = np.concatenate([np.linspace(0.5, 1, 40), np.linspace(0, 0.9, 1000)])
    curve = metrics.error_curve(scores, np.arange(1040) < 40)
    for alarms in (10, 25, 100, 290):  # shares without an exact binary fraction
        far = alarms / 1000
        assert metrics.frr_at_far(curve, far) == curve.frr[curve.alarms == alarms].min()


@given(trials(), st.floats(0.01, 0.99))
def test_min_dcf_equals_the_least_cost_found_by_trying_every_threshold(case, prior):
    costs = [2 * prior * frr + 3 * (1 - prior) * far for far, frr in every_rate(*case)]
    found = metrics.min_dcf(metrics.error_curve(*case), p_target=prior, cost_miss=2, cost_alarm=3)
    assert found == pytest.approx(min(costs) / min(2 * prior, 3 * (1 - prior)))


@given(trials(), st.randoms(use_true_random=False))
def test_monotonic_transforms_and_another_order_change_nothing(case, random):
    scores, positive = case
    order = list(range(len(scores)))
    random.shuffle(order)
    before = metrics.error_curve(scores, positive)
    after = metrics.error_curve(np.exp(scores[order] / 3) - 7, positive[order])
    np.testing.assert_array_equal([before.alarms, before.hits], [after.alarms, after.hits])


@given(trials(), st.data())
def test_an_integer_weight_counts_as_so_many_copies(case, data):
    scores, positive = case
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores)))
    weights[0] = weights[-1] = 1
    weighted = metrics.error_curve(scores, positive, weights)
    copied = metrics.error_curve(np.repeat(scores, weights), np.repeat(positive, weights))
    for function in (metrics.equal_error_rate, metrics.area_under_curve, metrics.min_dcf):
        assert function(weighted) == pytest.approx(function(copied))
    assert metrics.frr_at_far(weighted, 0.2) == pytest.approx(metrics.frr_at_far(copied, 0.2))


@given(trials())
def test_swapping_targets_and_impostors_leaves_the_eer(case):
    scores, positive = case
    eer = metrics.equal_error_rate(metrics.error_curve(scores, positive))
    assert metrics.equal_error_rate(metrics.error_curve(-scores, ~positive)) == pytest.approx(eer)


def test_perfect_and_random_scores_give_the_known_extremes():
    perfect = metrics.error_curve([3, 2, 1, 0], [1, 1, 0, 0])
    assert (metrics.equal_error_rate(perfect), metrics.area_under_curve(perfect)) == (0, 1)
    constant = metrics.error_curve([1, 1, 1, 1], [1, 1, 0, 0])
    assert (metrics.equal_error_rate(constant), metrics.area_under_curve(constant)) == (0.5, 0.5)
    assert metrics.min_dcf(constant) == 1
    assert metrics.frr_at_far(constant, 0.025) == 1


@pytest.mark.parametrize(
    ("scores", "positive"), [([], []), ([1, 2], [1, 1]), ([1, 2], [0, 0]), ([1, np.nan], [1, 0]), ([1, 2], [1])]
)
def test_trials_that_give_no_rates_are_refused(scores, positive):
    with pytest.raises(InputError):
        metrics.error_curve(scores, positive)


def test_a_share_written_in_percent_is_refused_with_the_cure():
    with pytest.raises(InputError, match=r"write 2\.5 % as 0\.025"):
        metrics.frr_at_far(metrics.error_curve([1, 0], [1, 0]), 2.5)


@st.composite
def clips(draw):
    """Scores of clips × keywords, and the index of each clip's keyword, or -1 for an impostor."""
    n, k = draw(st.integers(2, 25)), draw(st.integers(2, 4))
    grid = st.lists(st.integers(0, 6), min_size=k, max_size=k)
    scores = np.array(draw(st.lists(grid, min_size=n, max_size=n)), float)
    targets = np.array(draw(st.lists(st.integers(-1, k - 1), min_size=n, max_size=n)))
    targets[0], targets[-1] = 0, -1
    return scores, targets


@given(clips())
def test_accuracy_and_f1_equal_those_of_sklearn_on_target_clips(case):
    scores, targets = case
    known, chosen = targets[targets >= 0], scores.argmax(axis=1)[targets >= 0]
    every = list(range(scores.shape[1]))
    expected = sk.f1_score(known, chosen, labels=every, average="macro", zero_division=0)
    assert metrics.accuracy(scores, targets) == pytest.approx(sk.accuracy_score(known, chosen))
    assert metrics.macro_f1(scores, targets) == pytest.approx(expected)


@given(clips(), st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]))
def test_identification_equals_trying_every_threshold(case, share):
    scores, targets = case
    impostors = [row for row, target in zip(scores, targets, strict=True) if target < 0]
    known = [(row, target) for row, target in zip(scores, targets, strict=True) if target >= 0]
    best = 0.0
    for threshold in [-1, *np.unique(scores), 99]:
        let_in = sum(max(row) >= threshold for row in impostors) / len(impostors)
        right = sum(int(np.argmax(row)) == target and max(row) >= threshold for row, target in known) / len(known)
        if let_in <= share:
            best = max(best, right)
    assert metrics.open_set_identification(scores, targets, share) == pytest.approx(best)


@given(clips(), st.data())
def test_weights_on_clips_count_as_copies(case, data):
    scores, targets = case
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(targets), max_size=len(targets))), float)
    weights[0] = weights[-1] = 1
    copies = np.repeat(np.arange(len(targets)), weights.astype(int))
    for function in (metrics.accuracy, metrics.macro_f1):
        assert function(scores, targets, weights) == pytest.approx(function(scores[copies], targets[copies]))
    weighted = metrics.open_set_identification(scores, targets, 0.3, weights)
    assert weighted == pytest.approx(metrics.open_set_identification(scores[copies], targets[copies], 0.3))


def test_identification_without_impostors_is_not_a_number():
    assert np.isnan(metrics.open_set_identification(np.eye(2), np.array([0, 1]), 0.05))


def test_clips_of_one_voice_widen_the_interval():
    rng = np.random.default_rng(0)
    of_voice = rng.normal(size=20)
    values = np.repeat(of_voice, 50) + 0.01 * rng.normal(size=1000)

    def mean(weights):
        return np.average(values, weights=weights)

    voices = [f"v{index // 50}" for index in range(1000)]
    low, high = metrics.interval_over_speakers(mean, voices, np.random.default_rng(1))
    low_alone, high_alone = metrics.interval_over_speakers(mean, [""] * 1000, np.random.default_rng(1))
    assert low < values.mean() < high
    assert high - low > 4 * (high_alone - low_alone)
    standard_error = of_voice.std() / np.sqrt(20)
    assert 0.6 < (high - low) / (2 * 1.96 * standard_error) < 1.4


def test_draws_without_a_number_do_not_count_in_the_interval():
    scores, positive = np.array([0.9, 0.2, 0.1]), np.array([True, False, False])

    def eer(weights):
        return [metrics.equal_error_rate(metrics.error_curve(scores, positive, weights)), np.nan]

    low, high = metrics.interval_over_speakers(eer, ["a", "b", "b"], np.random.default_rng(0))
    assert (low[0], high[0]) == (0, 0)
    assert np.isnan(low[1])


def test_thirty_five_thousand_trials_take_well_under_a_second():
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=35_150), rng.random(35_150) < 0.1
    began = time.process_time()
    curve = metrics.error_curve(scores, positive)
    metrics.equal_error_rate(curve), metrics.frr_at_far(curve, 0.01), metrics.min_dcf(curve)
    assert time.process_time() - began < 0.5


@given(trials(), st.sampled_from([0.0, 0.025, 0.1, 0.3, 1.0]))
def test_frr_at_point_is_the_first_of_sklearns_corners_with_far_at_least_x(case, x):
    scores, positive = case
    far, hit, _ = sk.roc_curve(positive, scores)
    assert metrics.frr_at_point(metrics.error_curve(*case), x) == pytest.approx((1 - hit)[far >= x][0])


@given(trials(), st.data())
def test_average_precision_equals_that_of_sklearn_weighted_or_not(case, data):
    scores, positive = case
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores))), float)
    weights[0] = weights[-1] = 1
    for counts in (None, weights):
        expected = sk.average_precision_score(positive, scores, sample_weight=counts)
        assert metrics.average_precision(metrics.error_curve(scores, positive, counts)) == pytest.approx(expected)
