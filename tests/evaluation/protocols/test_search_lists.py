from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.evaluation.protocols.search import Occurrence
from earmark.evaluation.protocols.search_lists import read_occurrences, read_queries
from earmark.search import QueryTake


@pytest.fixture
def folder(tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_queries_are_read_from_a_list(folder):
    (folder / "list.txt").write_text("Hey_You a.wav\nhey_you b.wav\n")
    first, second = read_queries(folder / "list.txt")
    assert (first.label, first.takes) == ("hey you", (QueryTake(folder / "a.wav"),))
    assert second.takes == (QueryTake(folder / "b.wav"),)
    (both,) = read_queries(folder / "list.txt", takes=2)
    assert [take.path.name for take in both.takes] == ["a.wav", "b.wav"]
    with pytest.raises(InputError, match=r"^takes"):
        read_queries(folder / "list.txt", takes=3)


def test_queries_are_read_from_a_manifest(folder):
    (folder / "m.tsv").write_text("path\tstart_s\tend_s\tlabel\na.wav\t1.0\t1.5\tcasa\nb.wav\t\t\tcasa\n")
    first, second = read_queries(folder / "m.tsv")
    assert first.takes == (QueryTake(folder / "a.wav", 1.0, 1.5),)
    assert second.takes == (QueryTake(folder / "b.wav"),)
    (folder / "b.wav").unlink()
    with pytest.raises(InputError, match=r"b\.wav"):
        read_queries(folder / "m.tsv")


def test_occurrences_are_the_sentences_that_contain_a_word(folder):
    (folder / "m.tsv").write_text(
        "path\tstart_s\tend_s\tlabel\ttext\na.wav\t\t\tIT IS WHAT IT IS\t\nb.wav\t2\t4\tx\tit, is!\n"
    )
    files = [str(folder / "a.wav"), str(folder / "b.wav")]
    occurrences = read_occurrences(folder / "m.tsv", files, ["it is", "what", "never"])
    whole, part = Occurrence(files[0], 0.0, float("inf")), Occurrence(files[1], 2.0, 4.0)
    assert occurrences == {"it is": [whole, whole, part], "what": [whole]}


def test_a_phrase_is_inside_one_clip(folder):
    (folder / "m.tsv").write_text("path\tstart_s\tend_s\tlabel\na.wav\t0\t1\tit\na.wav\t1\t2\tis\n")
    assert read_occurrences(folder / "m.tsv", [str(folder / "a.wav")], ["it is", "it"]) == {
        "it": [Occurrence(str(folder / "a.wav"), 0.0, 1.0)]
    }


def test_occurrences_are_read_from_an_alignment(folder):
    (folder / "words.ctm").write_text("a 1 0.5 0.2 it\na 1 0.8 0.2 is\na 1 3.0 0.2 it\na 1 9.0 0.2 is\n")
    occurrences = read_occurrences(
        folder / "words.ctm", [str(folder / "a.wav"), str(folder / "b.wav")], ["it is", "it"]
    )
    assert occurrences["it is"] == [Occurrence(str(folder / "a.wav"), 0.5, 1.0)]
    assert [one.start_s for one in occurrences["it"]] == [0.5, 3.0]


def test_references_of_other_recordings_are_refused(folder):
    (folder / "m.tsv").write_text("path\tlabel\na.wav\tit\n")
    with pytest.raises(InputError, match=r"m\.tsv"):
        read_occurrences(folder / "m.tsv", [str(Path("/elsewhere/a.wav"))], ["it"])
