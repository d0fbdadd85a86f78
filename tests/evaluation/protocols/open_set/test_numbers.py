import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from earmark.core.numbers import finite
from earmark.evaluation import metrics
from earmark.evaluation.protocols import open_set
from earmark.evaluation.reports import open_set as report


@pytest.fixture(params=["centroid", "svm"])
def scored(request, lists, vectors):
    return open_set.score(lists, vectors, backend=request.param)


def test_accuracies_equal_those_counted_clip_by_clip(scored):
    counts = {"target": [0, 0], "seen": [0, 0], "unseen": [0, 0]}
    for clip, decision in zip(scored.lists.test, scored.decisions, strict=True):
        is_known, is_seen = clip.label in scored.lists.classes, clip.label in ("cat", "dog")
        kind = counts["target" if is_known else "seen" if is_seen else "unseen"]
        kind[0] += decision == (scored.lists.classes.index(clip.label) if is_known else 4)
        kind[1] += 1
    numbers = {key: estimate.value for key, estimate in open_set.count(scored).numbers.items()}
    target, seen, unseen = (right / of for right, of in counts.values())
    assert numbers["target_accuracy"] == pytest.approx(target)
    assert numbers["non_target_accuracy_seen"] == pytest.approx(seen)
    assert numbers["non_target_accuracy_unseen"] == pytest.approx(unseen)
    assert numbers["non_target_accuracy"] == pytest.approx((seen + unseen) / 2)  # as many clips of each
    assert numbers["total_1_1"] == pytest.approx((target + numbers["non_target_accuracy"]) / 2)
    assert numbers["total_1_1_unseen"] == pytest.approx((target + unseen) / 2)
    assert numbers["total_11_1"] == pytest.approx((11 * target + numbers["non_target_accuracy"]) / 12)


def test_auc_and_map_equal_those_of_sklearn(scored):
    numbers = {key: estimate.value for key, estimate in open_set.count(scored).numbers.items()}
    truth, best = scored.truth, scored.scores.max(axis=1)
    one_against_rest = [truth == number for number in range(4)]
    columns = scored.scores.T
    assert numbers["map"] == pytest.approx(
        np.mean([sk.average_precision_score(*pair) for pair in zip(one_against_rest, columns, strict=True)])
    )
    assert numbers["macro_auc"] == pytest.approx(
        np.mean([sk.roc_auc_score(*pair) for pair in zip(one_against_rest, columns, strict=True)])
    )
    assert numbers["auc"] == pytest.approx(sk.roc_auc_score(truth < 4, best))
    for part, words in {"_seen": ("cat", "dog"), "_unseen": ("bird", "tree")}.items():
        kept = np.array([clip.label in words or clip.label in scored.lists.classes for clip in scored.lists.test])
        assert numbers[f"auc{part}"] == pytest.approx(sk.roc_auc_score(truth[kept] < 4, best[kept]))
        curve = metrics.error_curve(best[kept], truth[kept] < 4)
        assert numbers[f"eer{part}"] == metrics.equal_error_rate(curve)


def test_the_confusion_counts_every_test_clip_once(scored):
    found = open_set.confusion(scored)
    assert found.rows == (*scored.lists.classes, "seen unknown", "unseen unknown")
    assert found.columns == (*scored.lists.classes, "unknown")
    kinds = [
        label if label in scored.lists.classes else "seen unknown" if label in ("cat", "dog") else "unseen unknown"
        for label in (clip.label for clip in scored.lists.test)
    ]
    predicted = [found.columns[decision] for decision in scored.decisions]
    expected = sk.confusion_matrix(kinds, predicted, labels=[*found.columns, "seen unknown", "unseen unknown"])
    rows = [*range(4), 5, 6]  # nothing is truly called “unknown”
    np.testing.assert_array_equal(found.counts, expected[rows][:, :5])


def test_intervals_over_speakers_hold_the_number_between_them(lists, vectors, speakers):
    result = open_set.compute_metrics(lists, vectors, speakers=speakers, seed=1)
    for estimate in result.numbers.values():
        assert estimate.low <= estimate.value <= estimate.high
    assert result == open_set.compute_metrics(lists, vectors, speakers=speakers, seed=1)
    alone = open_set.compute_metrics(lists, vectors).numbers["map"]
    assert (alone.value, np.isnan(alone.low)) == (result.numbers["map"].value, True)


def test_without_unseen_unknowns_their_numbers_are_none(lists, vectors, speakers):
    seen_only = replace(lists, test=tuple(clip for clip in lists.test if clip.label not in ("bird", "tree")))
    result = open_set.compute_metrics(seen_only, vectors, speakers=speakers)
    assert np.isnan(result.numbers["non_target_accuracy_unseen"].value)
    assert result.numbers["auc_seen"].value == result.numbers["auc"].value
    assert result.confusion.rows[-1] == "seen unknown"
    scored = open_set.score(seen_only, vectors)
    assert list(open_set.detection_trials(scored)) == ["all unknowns", "seen unknowns"]


def test_the_document_of_a_result_is_json(lists, vectors):
    result = open_set.compute_metrics(lists, vectors, backend="svm", unknown="threshold")
    document = json.loads(json.dumps(finite(report.document(result))))["result"]
    assert (document["backend"], document["unknown"]) == ("svm", "threshold")
    assert (document["svm"]["c"], document["svm"]["gamma"]) == (1, "scale")
    assert document["clips"] == {
        "train": 120,
        "validation": 0,
        "target": 40,
        "seen_unknown": 20,
        "unseen_unknown": 20,
    }
    assert isinstance(document["threshold"], float)
    assert list(document["numbers"]) == list(open_set.METRICS)
