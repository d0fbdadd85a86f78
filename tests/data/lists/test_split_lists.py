import pytest

from earmark.core.errors import InputError
from earmark.data.lists.split_lists import (
    Utterance,
    read_split_list,
    speaker_folder,
    speaker_naming,
    write_split_list,
)
from earmark.data.manifest import Clip, Manifest, write_manifest

LINES = "1 id10001/1zcIwhmdeo4/00001.wav\n\n3 Eartha Kitt/x8x/00001.wav\n2 id10001/1zcIwhmdeo4/00002.wav\n"


def test_a_list_is_read_and_written_back(tmp_path):
    path = tmp_path / "iden_split.txt"
    path.write_text(LINES)
    found = read_split_list(path)
    assert found == (
        Utterance("train", "id10001/1zcIwhmdeo4/00001.wav"),
        Utterance("test", "Eartha Kitt/x8x/00001.wav"),
        Utterance("val", "id10001/1zcIwhmdeo4/00002.wav"),
    )
    write_split_list(found, path)
    assert path.read_text() == LINES.replace("\n\n", "\n")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", r"list\.txt: "),
        ("4 a/b.wav", r"list\.txt:1: 1\|2\|3 is '4'"),
        ("1 a/b.wav\n1", r"list\.txt:2: "),
        ("a/b.wav", r"list\.txt:1: "),
        ("1 a/b.wav\n2 a/b.wav", r"list\.txt:2: a/b\.wav"),
    ],
)
def test_the_error_names_the_line(tmp_path, text, place):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=place):
        read_split_list(path)


def test_the_error_names_a_missing_list(tmp_path):
    with pytest.raises(InputError, match=r"none.txt"):
        read_split_list(tmp_path / "none.txt")


@pytest.mark.parametrize("wrong", [Utterance("noise", "a"), Utterance("train", ""), Utterance("train", "a\nb")])
def test_an_utterance_that_the_format_cannot_hold_is_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=r"list\.txt"):
        write_split_list([wrong], tmp_path / "list.txt")
    assert not (tmp_path / "list.txt").exists()


@pytest.mark.parametrize(
    ("path", "speaker"),
    [
        ("id10001/x/00001.wav", "id10001"),
        ("wav/id10001/x/00001.wav", "id10001"),
        ("dev/wav/id10001/x/00001.wav", "id10001"),
        ("./txt/id10001/x/00001.txt", "id10001"),
        ("A.J._Buckley/1zcIwhmdeo4_0000001.wav", "A.J._Buckley"),
        ("00001.wav", ""),
        ("wav/00001.wav", ""),
    ],
)
def test_the_first_folder_names_the_speaker(path, speaker):
    assert speaker_folder(path) == speaker


def test_manifests_know_speakers_better_than_folders(tmp_path):
    (tmp_path / "lists").mkdir()
    corpus = Manifest((Clip("yes/0.wav", speaker="anna"), Clip("yes/1.wav", speaker="bob")), tmp_path)
    write_manifest(corpus, tmp_path / "manifest.tsv")
    write_manifest(Manifest((Clip("yes/0.wav", speaker="eve"),), tmp_path), tmp_path / "lists" / "manifest.tsv")
    by_corpus, by_list = (
        speaker_naming(tmp_path),
        speaker_naming(tmp_path, beside=tmp_path / "lists" / "iden_split.txt"),
    )
    assert [by_corpus(f"yes/{number}.wav") for number in range(3)] == ["anna", "bob", "yes"]
    assert [by_list(f"yes/{number}.wav") for number in range(3)] == ["eve", "bob", "yes"]
    given = speaker_naming(tmp_path, manifest=tmp_path / "manifest.tsv")
    assert [given(f"yes/{number}.wav") for number in range(3)] == ["anna", "bob", ""]
