from itertools import islice

import numpy as np
import pytest

from earmark.errors import InputError
from earmark.training.episodes import Episodes, EpisodeSettings


def episodes(label, speaker=None, seed=0, **settings):
    label = np.array(label)
    speaker = np.arange(len(label)) if speaker is None else np.array(speaker)
    return Episodes(label, speaker, EpisodeSettings(**settings), seed)


LABEL = np.repeat(np.arange(10), 6)


def test_an_episode_is_n_words_of_m_utterances_each_of_one_label():
    drawn = episodes(LABEL, words=4, utterances=3).draw(0)
    assert drawn.shape == (4, 3)
    labels = LABEL[drawn]
    assert (labels == labels[:, :1]).all()
    assert len(set(labels[:, 0])) == 4
    assert len(set(drawn.ravel())) == 12


def test_clips_without_a_label_and_words_of_one_clip_are_never_drawn():
    label = np.array([0, 0, 1, 1, 2, -1, -1, -1])
    drawn = [episodes(label, words=2, utterances=2).draw(number) for number in range(20)]
    assert {*np.concatenate(drawn).ravel()} == {0, 1, 2, 3}


def test_speakers_of_a_word_differ_as_far_as_they_can():
    label, speaker = np.zeros(20, int), np.repeat([0, 1, 2, 3], [12, 4, 3, 1])
    label[10:12] = 1
    label[12:14] = -1
    several = episodes(label, speaker, words=2, utterances=4)
    for number in range(30):
        clips = several.draw(number)
        (word,) = clips[label[clips[:, 0]] == 0]
        assert len(set(speaker[word])) == 4
        assert len(set(word)) == 4


def test_a_clip_comes_again_only_where_the_word_has_no_other():
    clips = episodes([0, 0, 0, 1, 1, 1], words=2, utterances=5).draw(0)
    for word in clips:
        _, count = np.unique(word, return_counts=True)
        assert sorted(count) == [1, 2, 2]


def test_a_draw_depends_on_the_seed_and_its_number_only():
    one, other = episodes(LABEL, words=4, utterances=2), episodes(LABEL, words=4, utterances=2)
    for number in (0, 1, 2, 3, 4):
        one.draw(number)
    assert (one.draw(7) == other.draw(7)).all()
    assert (one.draw(7) != one.draw(8)).any()
    assert (one.draw(7) != episodes(LABEL, seed=1, words=4, utterances=2).draw(7)).any()
    assert all((a == b).all() for a, b in zip(islice(one, 3), map(other.draw, range(3)), strict=True))


def test_too_few_words_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"^episodes\.words: 11 words asked for, but only 10 have two clips$"):
        episodes(LABEL, words=11)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 1 / 2), (0.5, 3 / 4), (1.0, 9 / 10)])
def test_balance_says_how_much_oftener_a_word_with_more_clips_comes(balance, share):
    label = np.repeat(np.arange(40), [18] * 20 + [2] * 20)
    several = episodes(label, words=2, utterances=2, balance=balance)
    drawn = np.concatenate([label[several.draw(number)[:, 0]] for number in range(600)])
    assert np.mean(drawn < 20) == pytest.approx(share, abs=0.05)
