from collections import Counter

import pytest

from earmark.core.errors import InputError
from earmark.evaluation.protocols.probe import keep_words, split_lists, split_speakers
from earmark.evaluation.protocols.trials import TrialClip

WORDS = ("yes", "no", "zoom_in")


def clips(speakers, takes=4):
    return [TrialClip(word, f"{word}/{one}_{take}.wav") for word in WORDS for one in speakers for take in range(takes)]


def speaker(clip):
    return clip.path.split("/")[1][0]


TRAIN, TEST = clips("abc"), clips("xy")


def test_each_word_gets_its_labels_and_all_of_the_test_list_tests():
    splits = split_lists(TRAIN, TEST, labels=[2, 5], repetitions=3)
    assert [(split.labels, split.repetition) for split in splits] == [(2, 1), (2, 2), (2, 3), (5, 1), (5, 2), (5, 3)]
    for split in splits:
        assert set(Counter(clip.label for clip in split.train).values()) == {split.labels}
        assert len(set(split.train)) == 3 * split.labels
        assert split.test == tuple(TEST)


def test_every_repetition_has_other_labels_and_a_seed_draws_them_again():
    first, second, third = (split_lists(TRAIN, TEST, labels=[3], repetitions=4, seed=seed) for seed in (0, 0, 1))
    assert first == second
    assert first != third
    assert len({frozenset(split.train) for split in first}) == 4


def test_fewer_labels_are_among_the_more_of_the_same_repetition():
    few, many = split_lists(TRAIN, TEST, labels=[2, 7], repetitions=1)
    assert set(few.train) < set(many.train)
    (alone,) = split_lists(TRAIN, TEST, labels=[2], repetitions=1)
    assert alone == few


def test_all_clips_train_by_default():
    (split,) = split_lists(TRAIN, TEST, repetitions=1)
    assert Counter(split.train) == Counter(TRAIN)


def test_in_every_repetition_other_halves_of_the_speakers_label_and_test():
    everyone = clips("abcde")
    splits = split_speakers(everyone, {clip.path: speaker(clip) for clip in everyone}, labels=[4], repetitions=6)
    halves = set()
    for split in splits:
        teachers, tested = ({speaker(clip) for clip in part} for part in (split.train, split.test))
        assert not teachers & tested
        assert len(split.test) == 2 * 3 * 4
        assert len(tested) == 2
        halves.add(frozenset(tested))
    assert len(halves) > 1


def test_words_are_kept_by_name_with_spaces_as_lists_write_them():
    assert {clip.label for clip in keep_words(TRAIN, ["zoom in", "no"])} == {"zoom_in", "no"}
    with pytest.raises(InputError, match=r"'zoom_inn'.*'zoom_in'"):
        keep_words(TRAIN, ["zoom inn"])
    with pytest.raises(InputError, match=r"'stop'.*no, yes, zoom_in"):
        keep_words(TRAIN, ["stop"])


@pytest.mark.parametrize(
    ("train", "test", "number", "message"),
    [
        (TRAIN, TRAIN[:1], 2, "yes/a_0.wav"),
        (TRAIN[:12], TEST, 2, "no/x_0.wav"),
        (TRAIN, TEST, 13, "word 'no'.*12 clips"),
        (TRAIN[:12], TEST[:8], 2, "words"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(train, test, number, message):
    with pytest.raises(InputError, match=message):
        split_lists(train, test, labels=[number])


def test_halves_need_speakers():
    everyone = clips("ab")
    with pytest.raises(InputError, match=r"yes/b_0.wav"):
        split_speakers(everyone, {clip.path: speaker(clip).strip("b") for clip in everyone})
    with pytest.raises(InputError, match="a is the only speaker"):
        split_speakers(everyone, dict.fromkeys((clip.path for clip in everyone), "a"))
