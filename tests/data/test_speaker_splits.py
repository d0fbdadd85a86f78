import itertools
from collections import Counter

import pytest
from pydantic import ValidationError

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest
from earmark.data.speaker_splits import (
    HoldOutSettings,
    draw_speaker_pairs,
    drop_few,
    hold_out,
    utterances_by_speaker,
    with_unseen,
)


def people(*counts, split="train", name="s"):
    return {
        f"{name}{number}": tuple(
            Clip(f"{name}{number}/{k}.wav", speaker=f"{name}{number}", split=split) for k in range(n)
        )
        for number, n in enumerate(counts)
    }


def test_utterances_of_each_speaker_are_held_out():
    held = hold_out(people(7, 8, 20), HoldOutSettings(val=2, test=4))
    for speaker, total in (("s0", 7), ("s1", 8), ("s2", 20)):
        counts = Counter(clip.split for clip in held if clip.speaker == speaker)
        assert counts == {"val": 2, "test": 4, "train": total - 6}


def test_the_draw_of_a_speaker_does_not_depend_on_other_speakers():
    alone, among = hold_out({"s1": people(9, 9)["s1"]}), hold_out(people(9, 9))
    assert alone == among[9:]
    assert hold_out(people(9, 9), HoldOutSettings(seed=1)) != among


def test_speakers_with_few_utterances_are_named_or_skipped():
    with pytest.raises(InputError, match=r"2 of 3 speakers .*s1 \(6\), s2 \(1\)") as error:
        hold_out(people(7, 6, 1))
    assert error.value.key == "skip_few"
    assert list(drop_few(people(7, 6, 1), 7, skip=True)) == ["s0"]
    with pytest.raises(InputError, match="2 speakers"):
        drop_few(people(2, 1), 7, skip=True)
    with pytest.raises(ValidationError, match="val"):
        HoldOutSettings(val=-1)


def test_clips_are_found_by_speaker_and_each_file_once():
    clips = (Clip("b.wav", speaker="x", split="train"), Clip("a.wav", 1.0, speaker="x", split="train"))
    manifest = Manifest((*clips, clips[0], Clip("c.wav", split="noise")))
    assert utterances_by_speaker(manifest, "train") == {"x": (clips[1], clips[0])}
    with pytest.raises(InputError, match=r"test; .* noise, train"):
        utterances_by_speaker(manifest, "test")
    with pytest.raises(InputError, match=r"c\.wav"):
        utterances_by_speaker(manifest, "noise")


def test_no_speaker_is_in_training_and_unseen():
    manifest = Manifest((Clip("hum.wav", split="noise"),))
    made = with_unseen(manifest, hold_out(people(7)), people(2, split="test", name="t"))
    assert Counter(clip.split for clip in made) == {"train": 1, "val": 2, "test": 4, "unseen": 2, "noise": 1}
    with pytest.raises(InputError, match="'s0'"):
        with_unseen(manifest, hold_out(people(7)), people(2))


def plain(pairs):
    return [(same, one.path, other.path) for same, one, other in pairs]


def test_all_pairs_are_those_of_two_loops():
    clips = [clip for own in people(3, 1, 2).values() for clip in own]
    assert plain(draw_speaker_pairs(people(3, 1, 2))) == [
        (one.speaker == other.speaker, one.path, other.path) for one, other in itertools.combinations(clips, 2)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_drawn_pairs_are_balanced_and_different(seed):
    drawn = list(draw_speaker_pairs(people(8, 8, 8, 8, 3), 60, seed=seed))
    assert sum(same for same, *_ in drawn) == 30
    assert all(same == (one.speaker == other.speaker) for same, one, other in drawn)
    assert len({frozenset((one.path, other.path)) for _, one, other in drawn}) == 60
    own = Counter(one.speaker for same, one, _ in drawn if same)
    assert own == {"s0": 7, "s1": 7, "s2": 7, "s3": 6, "s4": 3}  # s4 has only three pairs
    assert plain(drawn) == plain(draw_speaker_pairs(people(8, 8, 8, 8, 3), 60, seed=seed))
    assert plain(drawn) != plain(draw_speaker_pairs(people(8, 8, 8, 8, 3), 60, seed=seed + 1))


def test_pairs_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="1 speakers"):
        list(draw_speaker_pairs(people(4)))
    with pytest.raises(InputError, match="every speaker has one utterance"):
        list(draw_speaker_pairs(people(1, 1)))
    with pytest.raises(InputError, match="1 of 2 speakers"):
        list(draw_speaker_pairs(people(4, 1), 4))
    with pytest.raises(InputError, match="pairs: 40 "):
        list(draw_speaker_pairs(people(3, 3), 40))
