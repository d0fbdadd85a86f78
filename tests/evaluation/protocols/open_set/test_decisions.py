from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from earmark.core.errors import InputError
from earmark.core.vectors import unit
from earmark.evaluation.embedders import stacked
from earmark.evaluation.protocols import open_set
from earmark.evaluation.protocols.open_set.decisions import best_threshold, folds
from earmark.evaluation.protocols.trials import TrialClip
from earmark.evaluation.svm import SvmSettings, scale


def rows_of(lists, vectors, which):
    clips = getattr(lists, which)
    return stacked(clips, vectors), lists.truth(clips)


def test_centroids_with_an_unknown_cluster_equal_a_plain_loop(lists, vectors):
    scored = open_set.score(lists, vectors, backend="centroid")
    train, class_ids = rows_of(lists, vectors, "train")
    test, _ = rows_of(lists, vectors, "test")
    means = [np.mean([row for row, one in zip(train, class_ids, strict=True) if one == number], axis=0)
             for number in range(5)]  # fmt: skip
    expected = cosine_similarity(test, means)
    np.testing.assert_allclose(scored.scores, expected[:, :4])
    np.testing.assert_array_equal(scored.decisions, expected.argmax(axis=1))
    assert (scored.threshold, scored.svm) == (None, None)


def test_svms_with_an_unknown_class_equal_sklearns_one_against_rest(lists, vectors):
    scored = open_set.score(lists, vectors, backend="svm", svm=SvmSettings(c=2))
    train, class_ids = rows_of(lists, vectors, "train")
    test, _ = rows_of(lists, vectors, "test")
    expected = OneVsRestClassifier(SVC(C=2)).fit(unit(train), class_ids).decision_function(unit(test))
    np.testing.assert_allclose(scored.scores, expected[:, :4])
    np.testing.assert_array_equal(scored.decisions, expected.argmax(axis=1))
    assert scored.svm == SvmSettings(c=2)


@pytest.mark.parametrize("backend", ["centroid", "prototype", "best-take", "svm"])
def test_a_threshold_refuses_what_scores_below_it(lists, vectors, speakers, backend):
    scored = open_set.score(lists, vectors, backend=backend, unknown="threshold", speakers=speakers)
    best, chosen = scored.scores.max(axis=1), scored.scores.argmax(axis=1)
    expected = [4 if score < scored.threshold else one for score, one in zip(best, chosen, strict=True)]
    np.testing.assert_array_equal(scored.decisions, expected)
    assert 0 < np.mean(scored.decisions == 4) < 1


@pytest.mark.parametrize("backend", ["centroid", "best-take", "svm"])
def test_the_threshold_does_not_depend_on_the_test(lists, vectors, backend):
    moved = {path: vectors[path] for path in lists.paths} | {clip.path: np.ones(12) for clip in lists.test}
    thresholds = [
        open_set.score(lists, given, backend=backend, unknown="threshold").threshold for given in (vectors, moved)
    ]
    assert thresholds[0] == thresholds[1]


def test_a_clip_is_not_rated_by_itself_where_the_threshold_is_chosen(lists, vectors):
    # If a training clip were scored against itself, its score and so the threshold would be 1.
    scored = open_set.score(lists, vectors, backend="best-take", unknown="threshold")
    assert scored.threshold < 0.9


def test_validation_clips_choose_the_threshold_where_there_are_any(lists, vectors):
    halves = lists.train[::2], lists.train[1::2]
    with_validation = replace(lists, train=halves[0], validation=halves[1])
    scored = open_set.score(with_validation, vectors, unknown="threshold")
    rated = open_set.score(replace(lists, train=halves[0], test=halves[1]), vectors)
    assert scored.threshold == best_threshold(rated.scores, rated.truth)


@st.composite
def rated_clips(draw):
    """Coarse scores, so that many are equal, of targets and of unknowns."""
    scores = draw(st.lists(st.lists(st.integers(0, 6), min_size=2, max_size=2), min_size=2, max_size=20))
    truth = draw(st.lists(st.integers(0, 2), min_size=len(scores), max_size=len(scores)))
    truth[0], truth[-1] = 0, 2
    return np.array(scores, float), np.array(truth)


@given(rated_clips())
def test_the_best_threshold_gives_the_highest_total_of_all_thresholds(case):
    scores, truth = case

    def total(threshold):
        decisions = [int(row.argmax()) if row.max() >= threshold else 2 for row in scores]
        right = np.array(decisions) == truth
        return right[truth < 2].mean() + right[truth == 2].mean()

    assert total(best_threshold(scores, truth)) == pytest.approx(max(total(at) for at in [*range(7), 99]))


def test_folds_share_no_speaker_and_no_unknown_word(lists, speakers):
    parts = folds(lists, speakers, seed=3)
    rated_targets = [row for _, rated in parts for row in rated if lists.train[row].label in lists.classes]
    assert sorted(rated_targets) == [row for row, clip in enumerate(lists.train) if clip.label in lists.classes]
    for fitted, rated in parts:
        voices, words = (
            [{of(lists.train[row]) for row in rows} for rows in (fitted, rated)]
            for of in (lambda clip: speakers[clip.path], lambda clip: clip.label)
        )
        assert not voices[0] & voices[1]
        assert words[0] & words[1] <= set(lists.classes)
    assert {lists.train[row].label for _, rated in parts for row in rated} >= {"cat", "dog"}
    again = folds(lists, speakers, seed=3)
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(parts, again, strict=True))


def test_a_single_unknown_label_is_held_out_by_speaker_alone(lists, speakers):
    one_word = replace(lists, train=tuple(clip for clip in lists.train if clip.label != "dog"))
    parts = folds(one_word, speakers, seed=0)
    assert sorted(np.concatenate([rated for _, rated in parts])) == list(range(len(one_word.train)))


def test_too_few_speakers_for_folds_are_refused_with_the_cure(lists, vectors, speakers):
    one_speaker = replace(lists, train=tuple(clip for clip in lists.train if speakers[clip.path] == "a"))
    with pytest.raises(InputError, match=r"train\.txt, or add a val\.txt"):
        open_set.score(one_speaker, vectors, unknown="threshold", speakers=speakers)


def test_the_search_finds_what_a_plain_loop_over_folds_finds(lists, vectors, speakers):
    search = partial(open_set.search_svm, svm=SvmSettings(balanced=True), speakers=speakers, c_grid=(0.01, 1.0))
    found = search(lists, vectors)
    rows, class_ids = rows_of(lists, vectors, "train")
    totals = {}
    for c in (0.01, 1.0):
        for gamma in (scale(unit(rows)) * times for times in (0.25, 1, 4)):
            right: dict[bool, list[bool]] = {True: [], False: []}
            for fitted, rated in folds(lists, speakers, seed=0):
                svm = SVC(C=c, gamma=gamma, class_weight="balanced")
                svms = OneVsRestClassifier(svm).fit(unit(rows[fitted]), class_ids[fitted])
                chosen = svms.decision_function(unit(rows[rated])).argmax(axis=1)
                for decision, owner in zip(chosen, class_ids[rated], strict=True):
                    right[bool(owner < 4)].append(decision == owner)
            totals[c, gamma] = (np.mean(right[True]) + np.mean(right[False])) / 2
    assert (found.c, found.gamma) == max(totals, key=totals.__getitem__)
    assert found.balanced
    moved = dict(vectors) | {clip.path: np.ones(12) for clip in lists.test}
    assert search(lists, moved) == found


@pytest.fixture
def head():
    weights = np.random.default_rng(1).normal(size=(12, 6))
    return open_set.Head(lambda rows: rows @ weights, ("dog", "yes", "no", "_silence_", "go", "cat"))


def test_a_head_gives_log_probabilities_and_the_best_other_class_is_unknown(lists, vectors, head):
    scored = open_set.score(lists, vectors, backend="classifier", head=head)
    for clip, row, decision in zip(lists.test, scored.scores, scored.decisions, strict=True):
        logits = head.classify(vectors[clip.path][None])[0]
        shares = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(row, np.log(shares[[1, 2, 4, 3]]))
        winner = head.classes[int(logits.argmax())]
        assert decision == (lists.classes.index(winner) if winner in lists.classes else 4)


def test_a_head_may_write_spaces_where_lists_write_underscores():
    lists = open_set.OpenSetLists(
        ("zoom_in",),
        (TrialClip("zoom_in", "a"), TrialClip("no", "b")),
        (TrialClip("zoom_in", "c"), TrialClip("no", "d")),
    )
    vectors = {"a": np.array([1.0, 0]), "b": np.array([0, 1.0]), "c": np.array([2.0, 0]), "d": np.array([0, 2.0])}
    head = open_set.Head(lambda rows: rows, ("zoom in", "no"))
    assert open_set.score(lists, vectors, backend="classifier", head=head).decisions.tolist() == [0, 1]


def test_a_head_may_refuse_by_a_threshold_too(lists, vectors, head):
    scored = open_set.score(lists, vectors, backend="classifier", head=head, unknown="threshold")
    np.testing.assert_array_equal(scored.decisions == 4, scored.scores.max(axis=1) < scored.threshold)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("yes", "no", "_silence_", "cat"), "trained without target 'go'"),
        (("yes", "no", "_silence_", "go"), "trained on targets only"),
    ],
)
def test_a_head_that_lacks_a_class_is_refused(lists, vectors, classes, message):
    with pytest.raises(InputError, match=message):
        open_set.score(
            lists, vectors, backend="classifier", head=open_set.Head(lambda rows: rows[:, : len(classes)], classes)
        )


def test_an_encoder_without_classes_is_no_classifier(lists, vectors):
    for head in (None, open_set.Head(lambda _: None, ())):
        with pytest.raises(InputError, match="no trained classes"):
            open_set.score(lists, vectors, backend="classifier", head=head)


def test_a_training_list_of_targets_alone_is_refused(lists, vectors):
    known = replace(lists, train=tuple(clip for clip in lists.train if clip.label in lists.classes))
    for unknown in ("cluster", "threshold"):
        with pytest.raises(InputError, match="no clip outside the targets"):
            open_set.score(known, vectors, unknown=unknown)


def test_a_path_without_embedding_is_named(lists, vectors):
    more = replace(lists, test=(*lists.test, TrialClip("bird", "x.wav")))
    with pytest.raises(InputError, match=r"x.wav"):
        open_set.score(more, vectors)
