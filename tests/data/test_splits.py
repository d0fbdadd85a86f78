import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest
from earmark.data.splits import assign_splits


def spoken(*speakers: str) -> Manifest:
    return Manifest(tuple(Clip(f"{speaker}_{n}.wav", speaker=speaker) for speaker in speakers for n in range(3)))


def split_of(manifest: Manifest) -> dict[str, set[str]]:
    splits: dict[str, set[str]] = {}
    for clip in manifest:
        splits.setdefault(clip.speaker, set()).add(clip.split)
    return splits


@given(st.sets(st.text(min_size=1), max_size=20), st.integers(0, 2**40))
def test_no_speaker_is_in_two_splits(speakers: set[str], seed: int) -> None:
    assert all(len(splits) == 1 for splits in split_of(assign_splits(spoken(*speakers), seed=seed)).values())


def test_new_speakers_leave_the_others_where_they_are() -> None:
    few, many = (split_of(assign_splits(spoken(*map(str, range(n))))) for n in (50, 80))
    assert few == {speaker: many[speaker] for speaker in few}


def test_the_fractions_are_met_roughly_and_another_seed_draws_others() -> None:
    first, second = (split_of(assign_splits(spoken(*map(str, range(2000))), val=0.2, test=0.1, seed=s)) for s in (0, 1))
    share = {split: sum(split in found for found in first.values()) / 2000 for split in ("train", "val", "test")}
    assert share == pytest.approx({"train": 0.7, "val": 0.2, "test": 0.1}, abs=0.03)
    assert first != second


def test_a_larger_validation_set_leaves_the_test_speakers_alone() -> None:
    names = [str(n) for n in range(300)]
    small, large = (split_of(assign_splits(spoken(*names), val=val)) for val in (0.1, 0.3))
    assert [name for name in names if small[name] == {"test"}] == [name for name in names if large[name] == {"test"}]


def test_clips_of_unknown_speakers_are_drawn_by_their_file() -> None:
    manifest = assign_splits(Manifest(tuple(Clip(f"{n}.wav") for n in range(300))))
    assert {clip.split for clip in manifest} == {"train", "val", "test"}


def test_existing_splits_are_kept() -> None:
    noise = Manifest(tuple(Clip(f"{n}.wav", split="noise") for n in range(30)))
    assert assign_splits(noise) == noise


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.1), (0.1, 1.0)])
def test_fractions_that_leave_nothing_to_train_on_are_refused(val: float, test: float) -> None:
    with pytest.raises(InputError, match="val"):
        assign_splits(spoken("a"), val=val, test=test)
