import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_fscore_support
from sklearn.preprocessing import StandardScaler

from earmark.evaluation.protocols.probe import (
    LabelSplit,
    Predictions,
    classify_linear,
    compute_metrics,
    predict,
    rates_of,
    split_lists,
    split_speakers,
    words_of,
)
from earmark.evaluation.protocols.trials import TrialClip

WORDS = ("no", "stop", "yes")


@pytest.fixture
def corpus():
    """Clips of three words by eight speakers, their embeddings, and their speakers."""
    rng = np.random.default_rng(0)
    places = {word: rng.normal(size=6) for word in WORDS}
    clips = [TrialClip(word, f"{word}/{one}_{take}") for word in WORDS for one in range(8) for take in range(5)]
    vectors = {clip.path: places[clip.label] + rng.normal(size=6) for clip in clips}
    return clips, vectors, {clip.path: clip.path.split("/")[1][0] for clip in clips}


@pytest.fixture
def splits(corpus):
    clips, _, speakers = corpus
    return split_speakers(clips, speakers, labels=[2, 6], repetitions=3)


def test_the_classifier_gets_only_the_labeled_clips_and_one_seed_per_repetition(corpus, splits):
    _, vectors, _ = corpus
    calls = []

    def remember(train, train_labels, test, *, classes, seed):
        calls.append((train, train_labels, test, classes, seed))
        return np.eye(classes)[np.zeros(len(test), int)]

    predictions = predict(splits, vectors, remember, seed=5)
    for (train, labels, test, classes, _), split in zip(calls, splits, strict=True):
        np.testing.assert_array_equal(train, [vectors[clip.path] for clip in split.train])
        np.testing.assert_array_equal(test, [vectors[clip.path] for clip in split.test])
        assert [WORDS[label] for label in labels] == [clip.label for clip in split.train]
        assert classes == 3
    assert len({seed for *_, seed in calls[:3]}) == 3
    assert [one.predicted.tolist() for one in predictions] == [[0] * len(split.test) for split in splits]


def test_numbers_are_means_over_repetitions_of_scikit_learns(corpus, splits):
    _, vectors, _ = corpus
    predictions = predict(splits, vectors, classify_linear)
    few, many = compute_metrics(predictions)
    assert (few.labels, many.labels, few.repetitions) == (2, 6, 3)
    assert (few.labeled, few.tested) == (6, 60)
    own = [one for one in predictions if one.split.labels == 6]
    labels = [[WORDS.index(clip.label) for clip in one.split.test] for one in own]
    expected = [
        precision_recall_fscore_support(of, one.predicted, labels=range(3), zero_division=0)
        for of, one in zip(labels, own, strict=True)
    ]
    precision, recall, f1 = (np.array([found[part] for found in expected]) for part in range(3))
    for key, values in {"macro_precision": precision, "macro_recall": recall, "macro_f1": f1}.items():
        assert many.numbers[key].mean == pytest.approx(values.mean())
        assert many.numbers[key].sd == pytest.approx(values.mean(axis=1).std(ddof=1))
        assert math.isnan(many.numbers[key].low)
    assert many.numbers["error"].mean == pytest.approx(
        np.mean([np.mean(np.array(of) != one.predicted) for of, one in zip(labels, own, strict=True)])
    )
    for index, word in enumerate(WORDS):
        assert many.words[word].precision.mean == pytest.approx(precision[:, index].mean())
        assert many.words[word].recall.sd == pytest.approx(recall[:, index].std(ddof=1))
    np.testing.assert_allclose(rates_of(predictions, 6).recall, recall)
    assert sum(map(sum, many.confusion.counts)) == 3 * 60
    assert many.numbers["error"].mean < few.numbers["error"].mean


def test_intervals_contain_the_metric_and_shrink_with_more_speakers(corpus):
    clips, vectors, speakers = corpus
    predictions = predict(split_speakers(clips, speakers, labels=[4], repetitions=2), vectors, classify_linear)
    (result,) = compute_metrics(predictions, speakers=speakers, rng=np.random.default_rng(0))
    for spread in (*result.numbers.values(), result.words["yes"].recall):
        assert spread.low <= spread.mean <= spread.high
    (alone,) = compute_metrics(predictions, speakers=dict.fromkeys(speakers, "one voice"), rng=np.random.default_rng(0))
    assert alone.numbers["error"].low == pytest.approx(alone.numbers["error"].high)


def test_right_answers_have_no_error():
    clips = [TrialClip(word, f"{word}{take}") for word in WORDS for take in range(4)]
    train = [clip for clip in clips if clip.path[-1] in "01"]
    test = [clip for clip in clips if clip.path[-1] in "23"]
    (split,) = split_lists(train, test, repetitions=1)
    predicted = np.array([WORDS.index(clip.label) for clip in test])
    (result,) = compute_metrics([Predictions(split, predicted)])
    assert result.numbers["error"].mean == 0
    assert all(result.numbers[key].mean == 1 for key in result.numbers if key != "error")
    assert result.name == "all labels"
    assert math.isnan(result.numbers["error"].sd)


def test_the_linear_probe_is_scikit_learns_logistic_regression_on_scaled_numbers():
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    train = rng.normal(size=(30, 5)) * np.geomspace(1e-3, 1e3, 5) + labels[:, None]
    test = rng.normal(size=(20, 5)) * np.geomspace(1e-3, 1e3, 5)
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(train), labels)
    np.testing.assert_allclose(
        classify_linear(train, labels, test, classes=3), model.decision_function(scaler.transform(test)), atol=1e-3
    )


def test_the_linear_probe_separates_two_words_and_accepts_constant_dimensions():
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 2
    rows = np.column_stack([labels + 0.1 * rng.normal(size=20), np.full(20, 1e7)]).astype(np.float32)
    logits = classify_linear(rows, labels, rows, classes=2)
    np.testing.assert_array_equal(logits.argmax(axis=1), labels)


def test_the_words_are_those_of_the_training_clips():
    split = LabelSplit(None, 1, (TrialClip("yes", "a"), TrialClip("no", "b")), (TrialClip("yes", "c"),))
    assert words_of([split]) == ("no", "yes")
