from collections import Counter
from itertools import groupby

import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.data.draws import (
    FewShotSettings,
    OpenSetSettings,
    PairSizes,
    clips_by_word,
    draw_few_shot,
    draw_open_set,
    draw_training,
    draw_word_pairs,
)
from earmark.data.manifest import Clip, Manifest


def corpus(words="abcdef", speakers=30, takes=2, split="test", **changes):
    """Every speaker says every word several times."""
    return [
        Clip(f"{word}/{split}{speaker:02}_nohash_{take}.wav", speaker=f"{split}{speaker:02}", label=word, split=split)
        for word in words
        for speaker in range(changes.get(word, speakers))
        for take in range(takes)
    ]


def words_of(clips, *splits):
    return clips_by_word(Manifest(tuple(clips)), splits or ("test",))


@pytest.fixture(scope="module")
def words():
    return words_of(corpus())


def paths(clips):
    return [clip.path for clip in clips]


def test_clips_of_some_splits_are_sorted_by_word_and_path_once_each():
    clips = [
        Clip("b.wav", label="zoom in", split="test"),
        Clip("a.wav", label="zoom in", split="test"),
        Clip("a.wav", label="zoom in", split="test"),
        Clip("c.wav", label="yes", split="train"),
        Clip("d.wav", split="test"),
    ]
    found = words_of(clips)
    assert {word: paths(said) for word, said in found.items()} == {"zoom_in": ["a.wav", "b.wav"]}
    with pytest.raises(InputError, match=r"val, dev; .* test, train"):
        words_of(clips, "val", "dev")


@pytest.mark.parametrize("takes", [1, 5, 10])
def test_takes_have_different_speakers_and_no_speaker_enrolls_and_tests(words, takes):
    drawn = draw_few_shot(words, ["a", "c"], takes, seed=0)
    for word in "ac":
        assert len({clip.speaker for clip in drawn.enrollment if clip.label == word}) == takes
    assert Counter(clip.label for clip in drawn.enrollment) == {"a": takes, "c": takes}
    assert not {clip.speaker for clip in drawn.enrollment} & {clip.speaker for clip in drawn.test}
    assert {clip.label for clip in drawn.test} == set("abcdef")
    enrolled = {clip.speaker for clip in drawn.enrollment}
    assert len(drawn.test) == 6 * 2 * (30 - len(enrolled))


def test_a_draw_of_more_takes_begins_with_that_of_fewer(words):
    few, many = (draw_few_shot(words, ["a"], takes, seed=3).enrollment for takes in (2, 6))
    assert many[:2] == few
    assert draw_few_shot(words, ["a"], 6, seed=3) == draw_few_shot(words, ["a"], 6, seed=3)
    assert draw_few_shot(words, ["a"], 6, seed=3) != draw_few_shot(words, ["a"], 6, seed=4)


def test_the_takes_of_a_keyword_do_not_depend_on_other_keywords(words):
    alone = draw_few_shot(words, ["b"], 3, seed=1).enrollment
    beside = draw_few_shot(words_of(corpus("abcxyz")), ["x", "b"], 3, seed=1).enrollment
    assert [clip for clip in beside if clip.label == "b"] == list(alone)


def test_the_sizes_of_the_test_are_limited_as_published(words):
    """Jung et al. test 300 clips of each keyword and 20 of each other word; this test draws a tenth of them."""
    drawn = draw_few_shot(words, ["a", "b"], 2, FewShotSettings(test_per_keyword=30, test_per_impostor=2), seed=0)
    assert Counter(clip.label for clip in drawn.test) == {"a": 30, "b": 30, "c": 2, "d": 2, "e": 2, "f": 2}
    assert len(set(paths(drawn.test))) == len(drawn.test)


def test_speakers_may_enroll_and_test_but_files_never_do(words):
    drawn = draw_few_shot(words, ["a", "b"], 20, FewShotSettings(new_speakers=False), seed=0)
    assert {clip.speaker for clip in drawn.enrollment} & {clip.speaker for clip in drawn.test}
    assert not {*paths(drawn.enrollment)} & {*paths(drawn.test)}
    assert len(drawn.test) == 6 * 60 - 40


def test_impostors_can_be_chosen(words):
    drawn = draw_few_shot(words, ["a"], 1, seed=0, impostors=["d"])
    assert {clip.label for clip in drawn.test} == {"a", "d"}


def test_a_few_voices_enroll_every_keyword_in_turn():
    words = words_of(corpus(speakers=6, takes=5))
    draws = [draw_few_shot(words, ["a", "b"], takes, FewShotSettings(voices=3), seed=0) for takes in (1, 3, 10)]
    pools = [{clip.speaker for clip in drawn.enrollment} for drawn in draws]
    assert list(map(len, pools)) == [1, 3, 3]
    for word in "ab":
        said = [clip.speaker for clip in draws[2].enrollment if clip.label == word]
        assert sorted(Counter(said).values()) == [3, 3, 4]
        assert said[:3] == said[3:6]
    # The same three speakers are left for testing, whatever the number of takes.
    assert draws[0].test == draws[1].test == draws[2].test
    assert len({clip.speaker for clip in draws[0].test}) == 3
    assert not pools[2] & {clip.speaker for clip in draws[0].test}


def test_voices_are_speakers_of_every_keyword():
    words = words_of(corpus(speakers=6, b=4))
    assert {
        clip.speaker for clip in draw_few_shot(words, ["a", "b"], 4, FewShotSettings(voices=2), seed=0).enrollment
    } <= {f"test{number:02}" for number in range(4)}
    with pytest.raises(InputError, match=r"voices: .* 4 speakers"):
        draw_few_shot(words, ["a", "b"], 1, FewShotSettings(voices=5), seed=0)
    with pytest.raises(InputError, match=r"takes: .* 2 speakers .*have only 4 clips of keyword 'a'"):
        draw_few_shot(words, ["a", "b"], 5, FewShotSettings(voices=2), seed=0)


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ({"keywords": ["a"], "takes": 31}, "takes: keyword 'a' has 30 speakers"),
        ({"keywords": ["a"], "takes": 30}, "takes: .*'a'"),
        ({"keywords": ["aa"], "takes": 1}, "'aa': .*'a'"),
        ({"keywords": ["zoom"], "takes": 1}, "'zoom': .* a, b, c, d, e, f"),
        ({"keywords": ["a", "a"], "takes": 1}, "'a'"),
        ({"keywords": ["a"], "takes": 1, "impostors": ["a", "b"]}, "impostors: 'a'"),
        ({"keywords": ["a"], "takes": 1, "impostors": ["g"]}, "'g'"),
    ],
)
def test_the_error_of_an_impossible_draw_names_the_key(words, asked, key):
    with pytest.raises(InputError, match=key) as refused:
        draw_few_shot(words, asked.pop("keywords"), asked.pop("takes"), seed=0, **asked)
    assert "\n" not in str(refused.value)


def test_clips_without_a_speaker_are_refused_unless_known_speakers_may_test():
    clips = [*corpus("ab"), Clip("b/x.wav", label="b", split="test"), Clip("s.wav", label="_silence_", split="test")]
    with pytest.raises(InputError, match=r"new_speakers: b/x\.wav"):
        draw_few_shot(words_of(clips), ["a"], 1, seed=0)
    unknown = words_of([Clip(f"{number}.wav", label="a", split="test") for number in range(4)])
    drawn = draw_few_shot(unknown, ["a"], 3, FewShotSettings(new_speakers=False), seed=0)
    assert len({*paths(drawn.enrollment), *paths(drawn.test)}) == 4


def test_silence_needs_no_speaker():
    clips = [*corpus("ab"), Clip("s.wav", label="_silence_", split="test")]
    assert "s.wav" in paths(draw_few_shot(words_of(clips), ["a"], 1, seed=0).test)


def test_training_has_every_clip_once_or_repeats_clips_of_rare_words():
    words = words_of(corpus("ab", takes=1, speakers=5, b=3, split="train"), "train")
    assert paths(draw_training(words, ["a", "b"], seed=0)) == paths([*words["a"], *words["b"]])
    drawn = draw_training(words, ["a", "b"], seed=0, per_word=4)
    by_word = {word: paths(said) for word, said in groupby(drawn, key=lambda clip: clip.label)}
    assert len(set(by_word["a"])) == 4
    assert by_word["b"] == [*paths(words["b"]), words["b"][0].path]


def test_clips_for_enrollment_and_testing_are_not_for_training(words):
    tested = draw_few_shot(words, ["a", "b"], 2, FewShotSettings(test_per_keyword=5, test_per_impostor=5), seed=0)
    used = {*paths(tested.enrollment), *paths(tested.test)}
    trained = draw_training(words, ["a", "c"], seed=0, per_word=200, without=used)
    assert not used & {*paths(trained)}
    assert Counter(clip.label for clip in trained) == {"a": 200, "c": 200}
    with pytest.raises(InputError, match="train_from: word 'c'"):
        draw_training(words, ["c"], seed=0, without=paths(words["c"]))


def open_words():
    return words_of(corpus("abcdefgh", split="train"), "train"), words_of(corpus("abcdefgh"))


def test_an_open_set_trains_on_targets_and_half_of_the_unknown_words():
    train, test = open_words()
    drawn = draw_open_set(train, test, ["a", "b"])
    assert len(drawn.seen) == len(drawn.unseen) == 3
    assert {*drawn.seen, *drawn.unseen} == set("cdefgh")
    assert {clip.label for clip in drawn.train} == {"a", "b", *drawn.seen}
    assert {clip.label for clip in drawn.test} == set("abcdefgh")
    assert drawn == draw_open_set(train, test, ["a", "b"])
    assert drawn.seen != draw_open_set(train, test, ["a", "b"], OpenSetSettings(seed=1)).seen


def test_seen_words_and_sizes_of_an_open_set_can_be_chosen():
    train, test = open_words()
    drawn = draw_open_set(
        train,
        test,
        ["a"],
        OpenSetSettings(train_per_word=70, test_per_target=10, test_per_unknown=3),
        seen=["c"],
    )
    assert (drawn.seen, drawn.unseen) == (("c",), ("b", "d", "e", "f", "g", "h"))
    assert Counter(clip.label for clip in drawn.train) == {"a": 70, "c": 70}
    assert Counter(clip.label for clip in drawn.test) == {"a": 10, **dict.fromkeys("bcdefgh", 3)}


def test_an_open_set_from_one_split_shares_no_file():
    words = words_of(corpus())
    drawn = draw_open_set(words, words, ["a"], OpenSetSettings(test_per_target=20, test_per_unknown=20))
    assert not {*paths(drawn.train)} & {*paths(drawn.test)}
    assert drawn.val == ()
    with pytest.raises(InputError, match="seen: 'a'"):
        draw_open_set(words, words, ["a"], seen=["a"])


def test_thresholds_are_chosen_on_clips_of_targets_and_seen_words_only():
    train, test = open_words()
    val = words_of(corpus("abcd", speakers=3, split="val"), "val")
    drawn = draw_open_set(train, test, ["a", "b"], seen=["c", "e"], val=val)
    assert paths(drawn.val) == paths([*val["a"], *val["b"], *val["c"]])
    held_out = draw_open_set(train, test, ["a"], seen=["c"], val={"a": train["a"][:5], "c": test["c"]})
    assert paths(held_out.val) == paths(train["a"][:5])
    assert not {*paths(held_out.val)} & {*paths(held_out.train), *paths(held_out.test)}


def test_pairs_have_the_published_structure():
    """Published: 10 words with 10 anchors, 270 positives and 30 negatives of each of 9 other words; here a tenth."""
    words = words_of(corpus("abcd"))
    pairs = list(draw_word_pairs(words, list("abcd"), PairSizes(anchors=5, positives=27, negatives=9)))
    assert len(pairs) == 4 * 5 * (27 + 27)
    assert sum(same for same, _, _ in pairs) == len(pairs) / 2
    assert all(same == (anchor.label == other.label) for same, anchor, other in pairs)
    assert all(anchor.path != other.path for _, anchor, other in pairs)
    assert len({anchor.path for _, anchor, _ in pairs}) == 20
    assert len({(anchor.path, other.path) for _, anchor, other in pairs}) == len(pairs)
    for _, group in groupby(pairs, key=lambda pair: pair[1].path):
        assert sorted(Counter(other.label for _, _, other in group).values()) == [9, 9, 9, 27]
    assert pairs == list(draw_word_pairs(words, list("abcd"), PairSizes(anchors=5, positives=27, negatives=9)))


def test_the_sizes_of_pairs_are_the_published_ones_unless_given():
    words = words_of(corpus("abcdefghij", speakers=136))
    pairs = list(draw_word_pairs(words, list(words)))
    assert np.bincount([same for same, _, _ in pairs]).tolist() == [27_000, 27_000]


def test_words_with_too_few_clips_for_pairs_are_named(words):
    with pytest.raises(InputError, match="word 'a' has 60 clips"):
        list(draw_word_pairs(words, ["a", "b"]))
