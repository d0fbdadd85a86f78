import itertools
import tracemalloc

import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import ClipPair
from earmark.evaluation import metrics
from earmark.evaluation.protocols import verification
from earmark.evaluation.protocols.verification import (
    Pairs,
    as_norm,
    compute_metrics,
    every_pair,
    listed_pairs,
    score_pairs,
)


def voices(speakers, clips, dimension=8, spread=0.7, seed=0):
    """Embeddings around one direction per speaker, of any length, and their speakers."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(speakers, dimension))
    names = [f"id{speaker}" for speaker in range(speakers) for _ in range(clips)]
    rows = np.repeat(means, clips, axis=0) + spread * rng.normal(size=(len(names), dimension))
    return (rows * rng.uniform(0.1, 9, (len(names), 1))).astype(np.float32), names


def cosine(one, other):
    return float(np.dot(one, other) / np.sqrt(np.dot(one, one)) / np.sqrt(np.dot(other, other)))


def test_all_pairs_of_different_clips_are_there_once():
    names = list("aabcbd")
    pairs = every_pair(names)
    plain = list(itertools.combinations(range(len(names)), 2))
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == plain
    assert pairs.is_same.tolist() == [names[one] == names[other] for one, other in plain]


def test_a_list_of_pairs_names_its_clips_once_each():
    listed = [ClipPair(True, "x", "y"), ClipPair(False, "y", "z"), ClipPair(False, "x", "z")]
    paths, pairs = listed_pairs(listed)
    assert paths == ["x", "y", "z"]
    found = [
        ClipPair(bool(same), paths[one], paths[other])
        for one, other, same in zip(pairs.first, pairs.second, pairs.is_same, strict=True)
    ]
    assert found == listed


@pytest.mark.parametrize("block", [16, 100, 2**24])
@pytest.mark.parametrize("share", [1.0, 0.03])
def test_scores_are_cosines_with_blocks_of_any_size(block, share):
    rows, names = voices(5, 6)
    pairs = every_pair(names)
    kept = np.random.default_rng(1).permutation(len(pairs))[: round(share * len(pairs))]
    some = Pairs(pairs.second[kept], pairs.first[kept], pairs.is_same[kept])
    plain = [cosine(rows[one], rows[other]) for one, other in zip(some.first, some.second, strict=True)]
    np.testing.assert_allclose(score_pairs(rows, some, block=block), plain, atol=1e-6)


@pytest.mark.parametrize("wrong", [0.0, np.nan, np.inf])
def test_an_embedding_without_a_direction_is_an_error_and_not_a_score(wrong):
    rows, names = voices(2, 2)
    rows[2] = wrong
    with pytest.raises(InputError, match="embedding 3 of 4 is zero or not finite"):
        score_pairs(rows, every_pair(names))


def plain_as_norm(rows, pairs, cohort, top, names, impostors):
    found = []
    for one, other in zip(pairs.first, pairs.second, strict=True):
        halves = []
        for clip in (one, other):
            scores = [cosine(rows[clip], row) for row, who in zip(cohort, impostors, strict=True) if who != names[clip]]
            nearest = sorted(scores)[-top:]
            halves.append((cosine(rows[one], rows[other]) - np.mean(nearest)) / np.std(nearest))
        found.append(sum(halves) / 2)
    return found


@pytest.mark.parametrize("block", [50, 2**24])
@pytest.mark.parametrize("top", [2, 7, 300])
def test_normalized_scores_are_those_of_plain_loops_without_the_own_speaker(block, top):
    rows, names = voices(4, 3)
    others, impostors = voices(12, 1, seed=3)
    impostors = [*names[:1], *impostors[1:]]
    impostors[5:] = [f"x{name}" for name in impostors[5:]]
    pairs = every_pair(names)
    found = as_norm(rows, pairs, others, top, speakers=names, cohort_speakers=impostors, block=block)
    np.testing.assert_allclose(found, plain_as_norm(rows, pairs, others, top, names, impostors), rtol=1e-4, atol=1e-4)
    everybody = as_norm(rows, pairs, others, top, block=block)
    np.testing.assert_allclose(
        everybody, plain_as_norm(rows, pairs, others, top, names, ["?"] * 12), rtol=1e-4, atol=1e-4
    )


def test_normalization_lowers_the_error_of_similar_speakers():
    rng = np.random.default_rng(0)
    people, impostors = rng.normal(size=(2, 40, 16))
    people[::2, 0] += 3  # half of the speakers share a language
    impostors[::2, 0] += 3
    names = [f"id{speaker}" for speaker in range(40) for _ in range(5)]
    rows = np.repeat(people, 5, axis=0) + 0.8 * rng.normal(size=(200, 16))
    pairs = every_pair(names)
    plain = compute_metrics(score_pairs(rows, pairs), pairs, names)["eer"].value
    assert compute_metrics(as_norm(rows, pairs, impostors, 15), pairs, names)["eer"].value < 0.9 * plain


def test_a_cohort_without_two_strangers_is_refused():
    rows, names = voices(2, 2)
    with pytest.raises(InputError, match="cohort: 2 speakers, of which 1"):
        as_norm(rows, every_pair(names), rows[1:3], speakers=names, cohort_speakers=names[1:3])
    with pytest.raises(InputError, match="top: 1"):
        as_norm(rows, every_pair(names), rows, 1)


def test_strangers_with_equal_scores_leave_finite_scores():
    rows, names = voices(2, 2)
    assert np.isfinite(as_norm(rows, every_pair(names), np.ones((3, 8)))).all()


def published(scores, is_same):
    """The cost as the published script computes it, threshold by threshold."""
    eers, costs, rare = [], [], []
    for threshold in [np.inf, *sorted(scores, reverse=True)]:
        accepted = scores >= threshold
        tpr, fpr = accepted[is_same].mean(), accepted[~is_same].mean()
        eers.append((abs(1 - tpr - fpr), fpr))
        costs.append(100 * (0.01 * (1 - tpr) + 0.99 * fpr))
        rare.append(1000 * (0.001 * (1 - tpr) + 0.999 * fpr))
    return min(eers)[1], min(costs), min(rare)


@pytest.mark.parametrize("seed", range(3))
def test_costs_are_the_published_ones_and_the_eer_differs_by_less_than_a_step(seed):
    rows, names = voices(6, 5, seed=seed)
    pairs = every_pair(names)
    scores = score_pairs(rows, pairs)
    eer, cost, rare = published(scores, pairs.is_same)
    found = compute_metrics(scores, pairs, names)
    assert found["min_dcf_0_01"].value == pytest.approx(cost)
    assert found["min_dcf_0_001"].value == pytest.approx(rare)
    curve = metrics.error_curve(scores, pairs.is_same)
    assert found["min_dcf_0_01"].value == metrics.min_dcf(curve, p_target=0.01)
    assert abs(found["eer"].value - eer) <= 1 / pairs.is_same.sum() + 1 / (~pairs.is_same).sum()
    assert all(np.isnan([estimate.low, estimate.high]).all() for estimate in found.values())


def plain_interval(scores, pairs, names, rng, resamples=200):
    everybody = sorted(set(names))
    found = []
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(len(everybody), size=len(everybody)), minlength=len(everybody))
        times = dict(zip(everybody, drawn, strict=True))
        weights = [
            times[names[one]] if names[one] == names[other] else times[names[one]] * times[names[other]]
            for one, other in zip(pairs.first, pairs.second, strict=True)
        ]
        found.append(metrics.equal_error_rate(metrics.error_curve(scores, pairs.is_same, weights)))
    return np.quantile(found, [0.025, 0.975])


@pytest.mark.parametrize("many", [10, 2**17])
def test_intervals_are_those_of_plain_loops_over_speakers(many):
    rows, names = voices(6, 4)
    pairs = every_pair(names)
    scores = score_pairs(rows, pairs)
    found = compute_metrics(scores, pairs, names, np.random.default_rng(2), most_pairs=many)["eer"]
    low, high = plain_interval(scores, pairs, names, np.random.default_rng(2))
    # Levels of the score are a few thousandths apart here.
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9 if many > 10 else 0.005)
    assert found.low <= found.value <= found.high


def test_all_pairs_of_a_thousand_clips_are_measured_in_little_memory():
    rows, names = voices(40, 25, dimension=64, spread=2.5)
    tracemalloc.start()
    pairs = every_pair(names)
    scores = score_pairs(rows, pairs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(scores) == 499_500
    assert peak < 60 * len(scores) + 16 * verification.BLOCK
    found = compute_metrics(scores, pairs, names, np.random.default_rng(0))["eer"]
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("names", "what"), [(["a", "a"], "two speakers"), (["a", "b"], "one speaker")])
def test_pairs_of_one_kind_are_refused(names, what):
    with pytest.raises(InputError, match=f"none is of {what}"):
        every_pair(names)


def test_a_clip_without_a_speaker_is_named():
    with pytest.raises(InputError, match="clip 2 of 3 has no speaker"):
        every_pair(["a", "", "b"])
