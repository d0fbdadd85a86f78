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
    ("text", "said"),
    [
        ("", "the list is empty"),
        ("4 a/b.wav", "list.txt:1: expected '1 path', '2 path' or '3 path', got '4 a/b.wav'"),
        ("1 a/b.wav\n1", "list.txt:2: expected '1 path'"),
        ("a/b.wav", "list.txt:1: expected '1 path'"),
        ("1 a/b.wav\n2 a/b.wav", "list.txt:2: a/b.wav stands already in line 1"),
    ],
)
def test_a_wrong_list_is_said_in_one_line(tmp_path, text, said):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_split_list(path)
    assert said in str(error.value)


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none.txt: No such file"):
        read_split_list(tmp_path / "none.txt")


@pytest.mark.parametrize("wrong", [Utterance("noise", "a"), Utterance("train", ""), Utterance("train", "a\nb")])
def test_what_does_not_fit_on_a_line_is_not_written(tmp_path, wrong):
    with pytest.raises(InputError, match="does not fit on one line"):
        write_split_list([wrong], tmp_path / "list.txt")


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
