import warnings

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from earmark import audio
from earmark.core.errors import InputError
from earmark.evaluation import backends, metrics
from earmark.evaluation.embedders import embed_clips, embed_speech, stacked
from earmark.evaluation.protocols import few_shot
from earmark.evaluation.protocols.trials import every_path, find_pairs
from earmark.evaluation.svm import SvmSettings


@pytest.fixture
def conditions(corpus):
    lists, clips = corpus
    return find_pairs(lists, audio=clips)


def test_every_clip_is_embedded_once_however_many_lists_name_it(corpus, conditions, stand_in):
    embedded = []

    def embed(wave):
        embedded.append(wave.tobytes())
        return stand_in.embed(wave)

    calls = []
    few_shot.score_clips(conditions, corpus[1], embed, progress=lambda *at: calls.append(at))
    assert len(embedded) == len(set(embedded)) == 12
    assert [call[1:] for call in calls] == [(done, 12) for done in range(1, 13)]


def test_scores_equal_cosines_to_the_prototype_taken_one_by_one(corpus, conditions, stand_in):
    (scored,) = few_shot.score_clips(conditions, corpus[1], stand_in.embed)["k2"]

    def vector(path):
        return stand_in.embed(audio.read(corpus[1] / path)).astype(np.float64)

    for row, clip in enumerate(scored.pair.test):
        for column, keyword in enumerate(scored.pair.keywords):
            takes = [vector(take.path) for take in scored.pair.enrollment if take.label == keyword]
            prototype = np.mean([take / np.linalg.norm(take) for take in takes], axis=0)
            query = vector(clip.path)
            expected = query @ prototype / np.linalg.norm(query) / np.linalg.norm(prototype)
            assert scored.scores[row, column] == pytest.approx(expected, abs=1e-6)
            assert scored.positive[row, column] == (clip.label == keyword)


def test_any_function_of_a_wave_can_be_evaluated(corpus, conditions):
    scored = few_shot.score_clips(conditions, corpus[1], lambda wave: np.abs(np.fft.rfft(wave, 4096))[:400])
    (k1, k2) = few_shot.compute_metrics(scored)
    assert (k1.name, len(k1.lists), k2.name, len(k2.lists)) == ("k1", 2, "k2", 1)


def test_both_scorings_recognize_the_stand_in_words(corpus, conditions, stand_in):
    by_clip = few_shot.score_clips(conditions, corpus[1], embed_speech(stand_in))
    by_stream = few_shot.score_streams(conditions, corpus[1], stand_in)
    for scored in (by_clip, by_stream):
        for result in few_shot.compute_metrics(scored):
            assert result.numbers["accuracy"].mean == 1
            assert result.numbers["eer"].mean < 0.1


def test_the_score_in_a_stream_is_the_detectors_best(corpus, conditions, stand_in):
    from earmark.spotting.detector import Detector
    from earmark.spotting.enrollment import enroll

    (scored,) = few_shot.score_streams(conditions, corpus[1], stand_in)["k2"]
    takes = [audio.read(corpus[1] / "rise" / f"{voice}.wav") for voice in (0, 1)]
    detector = Detector([enroll("rise", takes, encoder=stand_in)], encoder=stand_in)
    for row, clip in enumerate(scored.pair.test):
        _, over_time = detector.scores(audio.read(corpus[1] / clip.path))
        assert scored.scores[row, scored.pair.keywords.index("rise")] == pytest.approx(over_time.max(), abs=1e-6)


def test_a_take_that_cannot_be_enrolled_is_left_out_with_a_warning(corpus, conditions, stand_in, hush):
    audio.write(corpus[1] / "rise" / "0.wav", hush(1.0))
    with pytest.warns(UserWarning, match=r"list k[12]_s0, keyword rise"):
        scored = few_shot.score_streams(conditions, corpus[1], stand_in)
    alone, with_another = scored["k1"][0], scored["k2"][0]
    assert (alone.scores[:, alone.pair.keywords.index("rise")] == -1).all()
    assert (with_another.scores > -1).all()


def test_a_list_of_which_no_take_can_be_enrolled_is_refused(corpus, conditions, stand_in, hush):
    for label in ("rise", "fall"):
        audio.write(corpus[1] / label / "0.wav", hush(1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="list k1_s0"):
            few_shot.score_streams(conditions, corpus[1], stand_in)


def test_an_embedding_that_is_not_finite_is_refused_with_the_clip(corpus, conditions):
    with pytest.raises(InputError, match=r"fall/0.wav"):
        few_shot.score_clips(conditions, corpus[1], lambda _: np.array([np.nan, 1.0]))


def test_a_condition_has_mean_and_spread_of_its_lists_and_an_interval_over_speakers(corpus, conditions):
    rng = np.random.default_rng(0)
    projection = rng.normal(size=(64, 6))
    scored = few_shot.score_clips(conditions, corpus[1], lambda wave: np.abs(np.fft.rfft(wave, 126)) @ projection)
    speakers = {clip.path: clip.path[-5] for pairs in conditions.values() for pair in pairs for clip in pair.test}
    k1, k2 = few_shot.compute_metrics(scored, speakers=speakers, rng=np.random.default_rng(1))
    assert list(k1.numbers) == list(few_shot.METRICS)
    for key, spread in k1.numbers.items():
        values = [result.numbers[key] for result in k1.lists]
        assert spread.mean == pytest.approx(np.mean(values))
        assert spread.sd == pytest.approx(np.std(values, ddof=1))
        assert spread.low <= spread.high
    assert np.isnan(k2.numbers["eer"].sd)
    assert np.isnan(few_shot.compute_metrics(scored)[0].numbers["eer"].low)


def test_the_numbers_of_a_list_are_those_of_the_metrics(corpus, conditions):
    noisy = few_shot.score_clips(conditions, corpus[1], lambda wave: np.abs(np.fft.rfft(wave, 62)))
    scored = noisy["k2"][0]
    numbers = few_shot.compute_metrics(noisy)[1].lists[0].numbers
    curve = metrics.error_curve(scored.scores.ravel(), scored.positive.ravel())
    assert numbers["eer"] == metrics.equal_error_rate(curve)
    assert numbers["frr_at_far_2_5"] == metrics.frr_at_far(curve, 0.025)
    assert numbers["identification_5"] == metrics.open_set_identification(scored.scores, scored.targets, 0.05)
    assert numbers["min_dcf"] == metrics.min_dcf(curve)


def test_scoring_clips_is_embedding_them_and_scoring_the_vectors(corpus, conditions, stand_in):
    vectors = embed_clips(every_path(conditions), corpus[1], stand_in.embed_batch)
    for backend in ("prototype", "centroid", "best-take", "svm"):
        by_clip = few_shot.score_clips(conditions, corpus[1], stand_in.embed, backend=backend)
        by_vector = few_shot.score_vectors(conditions, vectors, backend=backend)
        for condition in conditions:
            for one, other in zip(by_clip[condition], by_vector[condition], strict=True):
                np.testing.assert_array_equal(one.scores, other.scores)


def test_background_and_settings_reach_the_machines(corpus, conditions, stand_in):
    vectors = embed_clips(every_path(conditions), corpus[1], stand_in.embed_batch)
    background = np.random.default_rng(0).normal(size=(9, 60))
    (scored,) = few_shot.score_vectors(conditions, vectors, backend="svm", background=background, svm=SvmSettings(c=3))[
        "k2"
    ]
    expected = backends.score(
        stacked(scored.pair.test, vectors),
        stacked(scored.pair.enrollment, vectors),
        np.array([scored.pair.keywords.index(clip.label) for clip in scored.pair.enrollment]),
        backend="svm",
        background=background,
        svm=SvmSettings(c=3),
    )
    np.testing.assert_array_equal(scored.scores, expected)


def test_a_path_without_a_vector_is_named(conditions):
    with pytest.raises(InputError, match="wav"):
        few_shot.score_vectors(conditions, {})


def test_the_confusion_of_a_condition_counts_the_target_clips_of_all_its_lists(corpus, conditions):
    scored = few_shot.score_clips(conditions, corpus[1], lambda wave: np.abs(np.fft.rfft(wave, 62)))["k1"]
    found = few_shot.confusion(scored)
    assert found.rows == found.columns == ("fall", "rise")
    pairs = [
        (clip.label, one.pair.keywords[row.argmax()])
        for one in scored
        for clip, row in zip(one.pair.test, one.scores, strict=True)
        if clip.label != "other"
    ]
    expected = confusion_matrix(*zip(*pairs, strict=True), labels=found.rows)
    np.testing.assert_array_equal(found.counts, expected)
