import pytest

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.evaluation.protocols.speaker_trials import read_identification, read_manifest_trials, read_verification


@pytest.fixture
def corpus(tmp_path):
    """Three speakers with two recordings each, in VoxCeleb's layout below `wav`."""
    for speaker in ("id1", "id2", "id3"):
        for number in range(2):
            place = tmp_path / "vox" / "wav" / speaker / "video" / f"{number}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    return tmp_path / "vox"


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


PAIRS = ("1 id1/video/0.wav id1/video/1.wav", "0 id1/video/0.wav id2/video/0.wav", "0 id3/video/0.wav id2/video/0.wav")


def test_listed_recordings_are_found_and_their_folders_name_the_speakers(corpus, tmp_path):
    found = read_verification(write(tmp_path / "veri.txt", *PAIRS), corpus)
    paths = ["id1/video/0.wav", "id1/video/1.wav", "id2/video/0.wav", "id3/video/0.wav"]
    assert list(found.files) == paths
    assert found.files[paths[0]] == corpus / "wav" / paths[0]
    assert list(found.speakers.values()) == ["id1", "id1", "id2", "id3"]
    pairs = found.pairs(paths[::-1])
    assert pairs.first.tolist(), pairs.second.tolist() == ([3, 3, 0], [2, 1, 1])
    assert pairs.is_same.tolist() == [True, False, False]


def test_all_pairs_of_a_list_are_of_every_two_recordings(corpus, tmp_path):
    found = read_verification(write(tmp_path / "veri.txt", *PAIRS), corpus, all_pairs=True)
    assert len(found.pairs(list(found.files))) == 6


def test_pairs_with_a_missing_recording_are_an_error_or_left_out(corpus, tmp_path):
    (corpus / "wav/id3/video/0.wav").unlink()
    pairs = write(tmp_path / "veri.txt", *PAIRS)
    with pytest.raises(InputError, match=r"1 of 4 recordings .*id3/video/0\.wav"):
        read_verification(pairs, corpus)
    found = read_verification(pairs, corpus, skip_missing=True)
    assert found.missing == ("id3/video/0.wav",)
    assert len(found.pairs(list(found.files))) == 2
    with pytest.raises(InputError, match="3 pairs"):
        found.pairs(["id2/video/0.wav"])
    with pytest.raises(InputError, match="none of the 4 recordings"):
        read_verification(pairs, tmp_path, skip_missing=True)


def test_pairs_of_one_kind_are_refused(corpus, tmp_path):
    pairs = write(tmp_path / "veri.txt", *PAIRS[1:])
    with pytest.raises(InputError, match=r"veri\.txt.*'1 path path'"):
        read_verification(pairs, corpus)
    assert len(read_verification(pairs, corpus, all_pairs=True).files) == 3


def test_what_is_identified_are_the_lines_of_class_three(corpus, tmp_path):
    lines = ["1 id1/video/0.wav", "3 id1/video/1.wav", "2 id2/video/0.wav", "3 id2/video/1.wav"]
    found = read_identification(write(tmp_path / "iden.txt", *lines), corpus)
    assert found.speakers == {"id1/video/1.wav": "id1", "id2/video/1.wav": "id2"}
    with pytest.raises(InputError, match="'3 path'"):
        read_identification(write(tmp_path / "iden.txt", *lines[:1]), corpus)


def test_a_recording_without_speaker_is_named(corpus, tmp_path):
    write_manifest(Manifest((Clip("other.wav", speaker="x"),), tmp_path), tmp_path / "other.tsv")
    lines = write(tmp_path / "iden.txt", "3 id1/video/1.wav")
    with pytest.raises(InputError, match=r"id1/video/1.wav"):
        read_identification(lines, corpus, manifest=tmp_path / "other.tsv")
    with pytest.raises(InputError, match=r"id1/video/0.wav"):
        read_verification(write(tmp_path / "veri.txt", *PAIRS), corpus, all_pairs=True, manifest=tmp_path / "other.tsv")


def test_a_manifest_gives_all_pairs_of_a_split(corpus):
    clips = [
        Clip(f"wav/{speaker}/video/{number}.wav", speaker=speaker, split="unseen" if speaker != "id3" else "train")
        for speaker in ("id1", "id2", "id3")
        for number in range(2)
    ]
    path = corpus / "manifest.tsv"
    write_manifest(Manifest(tuple(clips), corpus), path)
    found = read_manifest_trials(path, "unseen")
    assert len(found.pairs(list(found.files))) == 6
    assert list(read_manifest_trials(path, "unseen", clips_per_speaker=1).speakers.values()) == ["id1", "id2"]
    with pytest.raises(InputError, match=r"split 'test'.*train, unseen"):
        read_manifest_trials(path, "test")
    for clip, problem in {
        Clip("a.wav", split="test"): "a.wav has no speaker",
        Clip("a.wav", 1.0, speaker="x", split="test"): "a.wav is a part of a file",
    }.items():
        write_manifest(Manifest((clip,), corpus), path)
        with pytest.raises(InputError, match=problem):
            read_manifest_trials(path, "test")
