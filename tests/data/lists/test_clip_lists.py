import os
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import (
    ClipPair,
    ListedClip,
    known_speakers,
    listing_from,
    manifest_of,
    read_list,
    read_pairs,
    write_list,
    write_pairs,
)
from earmark.data.manifest import Clip, Manifest


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_for_training_may_name_a_recording_twice(tmp_path: Path) -> None:
    clips = (ListedClip("yes", "yes/a.wav"), ListedClip("no", "no/b.wav"), ListedClip("yes", "yes/a.wav"))
    write_list(clips, tmp_path / "train.txt")
    assert read_list(tmp_path / "train.txt", repeats=True) == clips
    with pytest.raises(InputError, match=r"train.txt:3: yes/a.wav"):
        read_list(tmp_path / "train.txt")


def test_pairs_are_written_as_published_and_read_back(tmp_path: Path) -> None:
    pairs = (ClipPair(True, "FAITH/a.wav", "FAITH/b.wav"), ClipPair(False, "FAITH/a.wav", "FRANCE/ü.wav"))
    write_pairs(pairs, tmp_path / "pairs.txt")
    assert (tmp_path / "pairs.txt").read_text("utf-8").startswith("1 FAITH/a.wav FAITH/b.wav\n0 FAITH/a.wav ")
    assert read_pairs(tmp_path / "pairs.txt") == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a.wav b.wav\n2 a.wav b.wav\n", r"pairs.txt:2: 1\|0 is '2'"),
        ("1 a.wav\n", r"pairs.txt:1: 2 columns"),
        ("1 my words/a.wav b.wav\n", r"pairs.txt:1: 4 columns"),
        ("yes yes/a.wav\n", r"pairs.txt:1: 2 columns"),
        ("\n\n", r"pairs.txt: "),
    ],
)
def test_a_bad_line_of_pairs_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pairs(written(tmp_path / "pairs.txt", text))


def test_a_pair_with_a_missing_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    pairs = written(tmp_path / "pairs.txt", "\n1 a.wav a.wav\n0 a.wav b.wav\n")
    with pytest.raises(InputError, match=r"pairs.txt:3: .*b.wav"):
        read_pairs(pairs, audio=tmp_path)


def test_a_path_with_a_space_does_not_fit_in_a_pair(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pairs.txt: path 'my words/a.wav'"):
        write_pairs([ClipPair(True, "a.wav", "my words/a.wav")], tmp_path / "pairs.txt")


def test_clips_are_listed_with_paths_from_the_folder_of_the_corpus(tmp_path: Path) -> None:
    for name in ("corpus/yes/a.wav", "elsewhere/b.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    manifest = Manifest((Clip("corpus/yes/a.wav", label="zoom in"), Clip("elsewhere/b.wav", label="no")), tmp_path)
    listed = [*map(listing_from(tmp_path / "corpus", manifest), manifest)]
    assert listed == [ListedClip("zoom_in", "yes/a.wav"), ListedClip("no", "../elsewhere/b.wav")]
    assert all((tmp_path / "corpus" / clip.path).is_file() for clip in listed)


def test_a_list_leads_to_its_files_through_a_linked_folder_too(tmp_path: Path) -> None:
    (tmp_path / "disk" / "deep" / "corpus").mkdir(parents=True)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "s.wav").touch()
    (tmp_path / "corpus").symlink_to(tmp_path / "disk" / "deep" / "corpus")
    manifest = Manifest((Clip("s.wav", label="_silence_"),), tmp_path / "lists")
    listed = listing_from(tmp_path / "corpus", manifest)(manifest.clips[0])
    assert (tmp_path / "corpus" / listed.path).is_file()


@pytest.mark.parametrize(
    "clip",
    [
        Clip("a.wav", 1.0, label="yes"),
        Clip("a.wav", end_s=1.0, label="yes"),
        Clip("a.wav"),
        Clip("b.wav", label="yes"),
    ],
    ids=["start", "end", "no label", "no file"],
)
def test_a_clip_that_no_list_can_name_is_refused(tmp_path: Path, clip: Clip) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(InputError, match=clip.path):
        listing_from(tmp_path, Manifest((clip,), tmp_path))(clip)


def test_lists_become_a_manifest_with_a_split_each_and_speakers_from_the_names(tmp_path: Path) -> None:
    lists = {
        "train": [ListedClip("yes", "yes/ab_nohash_0.wav"), ListedClip("yes", "yes/ab_nohash_0.wav")],
        "test": [ListedClip("no", "no/1.wav")],
    }
    assert manifest_of(lists, tmp_path) == Manifest(
        (
            *(Clip("yes/ab_nohash_0.wav", speaker="ab", label="yes", split="train"),) * 2,
            Clip("no/1.wav", label="no", split="test"),
        ),
        tmp_path,
    )


def test_a_manifest_of_the_corpus_knows_who_speaks_in_a_list(tmp_path: Path) -> None:
    corpus = Manifest((Clip("gsc/no/1.wav", speaker="eve", label="no"),), tmp_path)
    speaker_of = known_speakers(corpus, tmp_path / "gsc")
    listed = [ListedClip("no", "no/1.wav"), ListedClip("no", "no/2.wav")]
    found = manifest_of({"val": listed}, tmp_path / "gsc", speaker_of=speaker_of)
    assert [(clip.speaker, clip.split) for clip in found] == [("eve", "val"), ("", "val")]


@pytest.mark.corpora
def test_real_lists_are_read_written_and_made_manifests(tmp_path: Path) -> None:
    data = Path(os.environ.get("EARMARK_DATA", "../shared/data"))
    source = data / "trials" / "gsc10" / "test_k5_s0.txt"
    if not source.is_file():
        pytest.skip(f"no {source}; set EARMARK_DATA")
    clips = read_list(source, audio=data / "speech_commands_test")
    write_list(clips, tmp_path / "test.txt")
    assert (tmp_path / "test.txt").read_text("utf-8") == source.read_text("utf-8")
    manifest = manifest_of({"test": clips}, data / "speech_commands_test")
    assert [*map(listing_from(manifest.folder, manifest), manifest)] == [*clips]
