import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.training.batches.episodes import Episodes, EpisodeSettings


def episodes(label, speaker=None, seed=0, **settings):
    label = np.array(label)
    speaker = np.arange(len(label)) if speaker is None else np.array(speaker)
    classes = {number: np.flatnonzero(label == number) for number in sorted({*label.tolist()} - {-1})}
    return Episodes(classes, np.flatnonzero(label < 0), speaker, EpisodeSettings(**settings), seed)


LABEL = np.repeat(np.arange(10), 6)


def test_an_episode_is_n_words_of_m_utterances_each_of_one_label():
    episode = episodes(LABEL, words=4, utterances=3).draw(0)
    drawn = episode.clips
    assert drawn.shape == (4, 3)
    labels = LABEL[drawn]
    assert (labels == episode.labels[:, None]).all()
    assert len(episode.background) == 0
    assert len(set(labels[:, 0])) == 4
    assert len(set(drawn.ravel())) == 12


@pytest.mark.filterwarnings("ignore:1 of 3 classes")
def test_clips_without_a_class_and_classes_of_one_clip_are_never_drawn():
    label = np.array([0, 0, 1, 1, 2, -1, -1, -1])
    drawn = [episodes(label, words=2, utterances=2).draw(number).every_clip for number in range(20)]
    assert {*np.concatenate(drawn).ravel()} == {0, 1, 2, 3}


def test_speakers_of_a_word_repeat_as_late_as_possible():
    label, speaker = np.zeros(20, int), np.repeat([0, 1, 2, 3], [12, 4, 3, 1])
    label[10:12] = 1
    label[12:14] = -1
    several = episodes(label, speaker, words=2, utterances=4)
    for number in range(30):
        clips = several.draw(number).clips
        (word,) = clips[label[clips[:, 0]] == 0]
        assert len(set(speaker[word])) == 4
        assert len(set(word)) == 4


def test_a_clip_repeats_only_if_the_word_has_no_other_clip():
    clips = episodes([0, 0, 0, 1, 1, 1], words=2, utterances=5).draw(0).clips
    for word in clips:
        _, count = np.unique(word, return_counts=True)
        assert sorted(count) == [1, 2, 2]


def test_a_draw_depends_on_the_seed_and_its_number_only():
    one, other = episodes(LABEL, words=4, utterances=2), episodes(LABEL, words=4, utterances=2)
    for number in (0, 1, 2, 3, 4):
        one.draw(number)
    assert (one.draw(7).clips == other.draw(7).clips).all()
    assert (one.draw(7).clips != one.draw(8).clips).any()
    assert (one.draw(7).clips != episodes(LABEL, seed=1, words=4, utterances=2).draw(7).clips).any()


def test_too_few_words_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"^episodes\.words: 11 .* 10 "):
        episodes(LABEL, words=11)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 1 / 2), (0.5, 3 / 4), (1.0, 9 / 10)])
def test_balance_weights_words_by_their_number_of_clips(balance, share):
    label = np.repeat(np.arange(40), [18] * 20 + [2] * 20)
    several = episodes(label, words=2, utterances=2, balance=balance)
    drawn = np.concatenate([several.draw(number).labels for number in range(600)])
    assert np.mean(drawn < 20) == pytest.approx(share, abs=0.05)


def test_a_balanced_batch_contains_every_class():
    label = np.repeat([0, 1, 2, 3], [90, 5, 1, 4])
    episode = episodes(label, words=0, utterances=1).draw(0)
    assert sorted(episode.labels) == [0, 1, 2, 3]
    assert episode.clips.shape == (4, 1)


def test_targets_are_drawn_once_with_background_of_no_class():
    label = np.repeat([0, 1, 2, -1], [3, 3, 3, 20])
    several = episodes(label, words=0, utterances=1, background=6)
    drawn = set()
    for number in range(50):
        episode = several.draw(number)
        assert sorted(episode.labels) == [0, 1, 2]
        assert episode.background.shape == (6,)
        assert (episode.every_clip == np.concatenate([episode.clips[:, 0], episode.background])).all()
        drawn |= {*episode.background.tolist()}
    assert drawn == set(range(9, 29))


def test_missing_background_is_refused():
    with pytest.raises(InputError, match=r"^episodes\.background: "):
        episodes(LABEL, words=4, background=2)


def test_a_warning_names_classes_that_cannot_be_drawn():
    classes = {0: np.arange(2), 1: np.array([2]), 2: np.arange(3, 6)}
    with pytest.warns(UserWarning, match="^1 of 3 classes"):
        Episodes(classes, np.array([], int), np.zeros(6, int), EpisodeSettings(words=2, utterances=2), 0)
