from dataclasses import replace
from importlib.resources import as_file, files

import numpy as np
import pytest

from earmark.core import audio
from earmark.spotting.confusion import similar_keywords, similar_words
from earmark.spotting.enrollment import enroll
from earmark.spotting.keyword_calibration import BackgroundTail
from earmark.spotting.lexicon import Lexicon, load_lexicon, word_scores

WORDS = ("rise", "fall", "bow")


def measured(keyword, threshold):
    tail = BackgroundTail(level=threshold - 0.1, scale=0.02, count=40, hours=1.0)
    return replace(keyword, threshold=threshold, calibration=replace(keyword.calibration, tail=tail))


@pytest.fixture
def lexicon(say, stand_in):
    """Three words, two seconds each."""
    waves = [say(word, seed=20, before_s=0.7, after_s=0.7) for word in WORDS]
    frames = stand_in.frames(np.concatenate(waves))
    return Lexicon(WORDS, tuple((2.0 * place + 0.7, 2.0 * place + 1.3) for place in range(3)), frames)


@pytest.fixture
def rise(say, stand_in):
    keyword = enroll("up", [say("rise", seed=seed) for seed in range(3)], encoder=stand_in, background=None)
    return measured(keyword, 0.9)


def test_the_words_that_reach_the_threshold_are_similar(rise, lexicon, stand_in):
    scores = word_scores(rise, stand_in, lexicon)
    assert scores.argmax() == 0
    assert similar_words(rise, stand_in, lexicon) == ["rise"]
    assert len(similar_words(measured(rise, -1.0), stand_in, lexicon)) == 3
    assert len(similar_words(measured(rise, -1.0), stand_in, lexicon, most=2)) == 2
    assert similar_words(measured(rise, 1.0), stand_in, lexicon) == []


def test_the_name_of_the_keyword_is_no_similar_word(rise, lexicon, stand_in):
    assert similar_words(replace(rise, name="Rise"), stand_in, lexicon) == []


def test_without_a_measured_threshold_no_word_is_similar(rise, lexicon, stand_in):
    assert similar_words(replace(rise, calibration=replace(rise.calibration, tail=None)), stand_in, lexicon) == []


def test_keywords_whose_takes_trigger_each_other_are_similar(rise, say, stand_in, make_encoder):
    others = [
        measured(enroll(name, [say(word, seed=seed) for seed in (5, 6)], encoder=stand_in, background=None), 0.9)
        for name, word in (("climb", "rise"), ("drop", "fall"))
    ]
    assert similar_keywords(rise, [*others, rise], stand_in) == ["climb"]
    # A keyword of another encoder is compared by its takes.
    foreign = replace(others[0], encoder=make_encoder(fingerprint="0" * 48).fingerprint)
    assert similar_keywords(rise, [foreign], stand_in) == ["climb"]


def test_the_lexicon_that_ships_names_each_word_once_and_knows_its_place():
    rows = [row.split("\t") for row in (files("earmark.models") / "lexicon.tsv").read_text("utf-8").splitlines()]
    words = [word for _, _, word in rows]
    assert len(words) == len(set(words)) > 1500
    times = np.array([[float(start_s), float(end_s)] for start_s, end_s, _ in rows])
    assert (np.diff(times.ravel()) > 0).all()
    with as_file(files("earmark.models") / "lexicon.opus") as path:
        assert audio.duration_s(path) == pytest.approx(times[-1, 1], abs=1.0)


@pytest.mark.slow
def test_the_lexicon_is_loaded_for_an_encoder(sum_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lexicon = load_lexicon(sum_encoder)
    assert len(lexicon.frames) * sum_encoder.hop_s == pytest.approx(lexicon.spans_s[-1][1], abs=1.0)
    again = load_lexicon(sum_encoder)
    np.testing.assert_array_equal(again.frames, lexicon.frames)
