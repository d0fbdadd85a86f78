import os
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.corpora.speech_commands import (
    COMMANDS,
    VERSIONS,
    WORD_GROUPS,
    find_version,
    keep_as_classes,
    read_speech_commands,
    split_of,
)
from earmark.data.manifest import Clip, Manifest


def corpus(root: Path, *names: str, **texts: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, text in texts.items():
        (root / f"{name}.txt").write_text(text)
    return root


def published_split(name: str) -> str:
    """The split by the function in the corpus's README, step by step."""
    import hashlib
    import re

    base_name = os.path.basename(name)
    hash_name = re.sub(r"_nohash_.*$", "", base_name)
    hash_name_hashed = hashlib.sha1(hash_name.encode("utf-8")).hexdigest()
    percentage_hash = (int(hash_name_hashed, 16) % (2**27 - 1 + 1)) * (100.0 / (2**27 - 1))
    if percentage_hash < 10:
        return "val"
    if percentage_hash < 20:
        return "test"
    return "train"


def test_the_hash_split_is_the_published_one() -> None:
    names = [f"yes/{number:08x}_nohash_{number % 5}.wav" for number in range(5000)]
    splits = [split_of(name) for name in names]
    assert splits == [published_split(name) for name in names]
    assert 400 < splits.count("val") < 600
    assert 400 < splits.count("test") < 600


def test_a_speaker_has_one_split_in_every_word_take_and_format() -> None:
    assert len({split_of(name) for name in ("yes/ab_nohash_0.wav", "no/ab_nohash_11.opus", "ab_nohash_1.flac")}) == 1


def test_lists_made_by_the_published_formula_agree_with_the_hash(tmp_path: Path) -> None:
    names = [
        f"{word}/{speaker:08x}_nohash_{take}.wav" for word in ("yes", "no") for speaker in range(40) for take in (0, 1)
    ]
    lists = {
        "validation_list": "\n".join(name for name in names if published_split(name) == "val"),
        "testing_list": "\n".join(name for name in names if published_split(name) == "test"),
    }
    without = read_speech_commands(corpus(tmp_path / "a", *names))
    with_lists = read_speech_commands(corpus(tmp_path / "b", *names, **lists))
    stored_otherwise = read_speech_commands(
        corpus(tmp_path / "c", *(name.replace(".wav", ".ogg") for name in names), **lists)
    )
    assert without.clips == with_lists.clips
    assert [clip.split for clip in stored_otherwise] == [clip.split for clip in without]
    assert {clip.split for clip in without} == {"train", "val", "test"}


def test_lists_that_differ_from_the_hash_are_used_with_a_warning(tmp_path: Path) -> None:
    name = next(name for name in (f"go/{n:08x}_nohash_0.wav" for n in range(99)) if split_of(name) == "train")
    root = corpus(tmp_path, name, testing_list=name)
    with pytest.warns(UserWarning, match=name):
        assert [clip.split for clip in read_speech_commands(root)] == ["test"]


def test_speakers_words_and_background_noise_are_read(tmp_path: Path) -> None:
    root = corpus(
        tmp_path, "yes/ab12_nohash_0.wav", "_background_noise_/running_tap.wav", "_background_noise_/README.md"
    )
    assert read_speech_commands(root).clips == (
        Clip("_background_noise_/running_tap.wav", label="_background_noise_", split="noise"),
        Clip("yes/ab12_nohash_0.wav", speaker="ab12", label="yes", split=split_of("ab12_nohash_0.wav")),
    )


def test_silence_and_unknown_of_the_separate_test_set_are_for_testing(tmp_path: Path) -> None:
    speaker = next(name for name in (f"{n:08x}" for n in range(99)) if split_of(f"{name}_nohash_0.wav") == "test")
    root = corpus(tmp_path, "_silence_/10.wav", f"_unknown_/{speaker}_nohash_0.wav", f"yes/{speaker}_nohash_0.wav")
    assert [(clip.label, clip.split) for clip in read_speech_commands(root)] == [
        ("_silence_", "test"),
        ("_unknown_", "test"),
        ("yes", "test"),
    ]


def test_the_word_groups_have_ten_fifteen_and_ten_words() -> None:
    words = [word for group in WORD_GROUPS.values() for word in group]
    assert [len(group) for group in WORD_GROUPS.values()] == [10, 15, 10]
    assert len(set(words)) == 35
    assert WORD_GROUPS["gsc/pre-defined"] == COMMANDS


def test_words_or_the_readme_show_the_version(tmp_path: Path) -> None:
    every = [word for group in WORD_GROUPS.values() for word in group]
    old = [word for word in every if word not in {"backward", "follow", "forward", "learn", "visual"}]

    def version(words: list[str], readme: str = "") -> str | None:
        (tmp_path / "README.md").write_text(readme)
        return find_version(Manifest(tuple(Clip(f"{word}/a.wav", label=word) for word in words), tmp_path))

    assert version(every) == "0.02"
    assert version(old) == "0.01"
    assert version(["yes", "no"]) is None
    assert version(["yes", "no"], "# Speech Commands Data Set v0.02\n") == "0.02"
    assert version(["yes"], "# Speech Commands Data Set v0.01\n … superseded by v0.02 …\n") == "0.01"
    assert version(["yes", "visual"], "") == "0.02"


def test_twelve_classes_are_ten_words_silence_and_unknown() -> None:
    clips = (
        Clip("yes/a.wav", label="yes", split="train"),
        Clip("_silence_/a.wav", label="_silence_", split="test"),
        Clip("zero/a.wav", label="zero", split="train"),
        Clip("_background_noise_/a.wav", label="_background_noise_", split="noise"),
    )
    labels = [clip.label for clip in keep_as_classes(Manifest(clips))]
    assert labels == ["yes", "_silence_", "_unknown_", "_background_noise_"]


@pytest.mark.parametrize(
    ("names", "cure"),
    [
        (["casa/1.wav"], "prepare folder"),
        (["v2/yes/a_nohash_0.wav"], "/v2$"),
        (["a_nohash_0.wav"], "WORD/FILE"),
        ([], "WORD/FILE"),
    ],
)
def test_another_layout_is_refused_with_the_cure(tmp_path: Path, names: list[str], cure: str) -> None:
    with pytest.raises(InputError, match=cure) as refused:
        read_speech_commands(corpus(tmp_path, *names))
    assert str(refused.value).startswith(str(tmp_path))


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        read_speech_commands(tmp_path / "absent")


def test_the_archives_are_those_of_both_versions() -> None:
    assert {version: archive.name for version, archive in VERSIONS.items()} == {
        "0.01": "speech_commands_v0.01.tar.gz",
        "0.02": "speech_commands_v0.02.tar.gz",
    }


@pytest.mark.corpora
def test_every_clip_of_the_real_test_set_hashes_to_test() -> None:
    folder = Path(os.environ.get("EARMARK_DATA", "../shared/data")) / "speech_commands_test"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set EARMARK_DATA")
    manifest = read_speech_commands(folder)
    assert len(manifest) == 4890
    assert {clip.split for clip in manifest} == {"test"}
    assert {split_of(clip.path) for clip in manifest if clip.label != "_silence_"} == {"test"}
    assert find_version(manifest) == "0.02"
