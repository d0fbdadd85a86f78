from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.evaluation.protocols.search import Place
from earmark.evaluation.protocols.search_lists import read_places, read_queries
from earmark.search import Take


@pytest.fixture
def sounds(tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_a_list_names_recordings_of_words(sounds):
    (sounds / "list.txt").write_text("Hey_You a.wav\nhey_you b.wav\n")
    first, second = read_queries(sounds / "list.txt")
    assert (first.label, first.takes) == ("hey you", (Take(sounds / "a.wav"),))
    assert second.takes == (Take(sounds / "b.wav"),)
    (both,) = read_queries(sounds / "list.txt", takes=2)
    assert [take.path.name for take in both.takes] == ["a.wav", "b.wav"]
    with pytest.raises(InputError, match="no word has 3 clips"):
        read_queries(sounds / "list.txt", takes=3)


def test_a_manifest_names_words_inside_recordings(sounds):
    (sounds / "m.tsv").write_text("path\tstart_s\tend_s\tlabel\na.wav\t1.0\t1.5\tcasa\nb.wav\t\t\tcasa\n")
    first, second = read_queries(sounds / "m.tsv")
    assert first.takes == (Take(sounds / "a.wav", 1.0, 1.5),)
    assert second.takes == (Take(sounds / "b.wav"),)
    (sounds / "b.wav").unlink()
    with pytest.raises(InputError, match=r"m\.tsv: no file .*b\.wav; is .* where the manifest belongs"):
        read_queries(sounds / "m.tsv")


def test_sentences_say_words_somewhere(sounds):
    (sounds / "m.tsv").write_text(
        "path\tstart_s\tend_s\tlabel\ttext\na.wav\t\t\tIT IS WHAT IT IS\t\nb.wav\t2\t4\tx\tit, is!\n"
    )
    files = [str(sounds / "a.wav"), str(sounds / "b.wav")]
    places = read_places(sounds / "m.tsv", files, ["it is", "what", "never"])
    whole, part = Place(files[0], 0.0, float("inf")), Place(files[1], 2.0, 4.0)
    assert places == {"it is": [whole, whole, part], "what": [whole]}


def test_two_clips_make_no_phrase(sounds):
    (sounds / "m.tsv").write_text("path\tstart_s\tend_s\tlabel\na.wav\t0\t1\tit\na.wav\t1\t2\tis\n")
    assert read_places(sounds / "m.tsv", [str(sounds / "a.wav")], ["it is", "it"]) == {
        "it": [Place(str(sounds / "a.wav"), 0.0, 1.0)]
    }


def test_aligned_words_are_said_where_the_alignment_says(sounds):
    (sounds / "words.ctm").write_text("a 1 0.5 0.2 it\na 1 0.8 0.2 is\na 1 3.0 0.2 it\na 1 9.0 0.2 is\n")
    places = read_places(sounds / "words.ctm", [str(sounds / "a.wav"), str(sounds / "b.wav")], ["it is", "it"])
    assert places["it is"] == [Place(str(sounds / "a.wav"), 0.5, 1.0)]
    assert [place.start_s for place in places["it"]] == [0.5, 3.0]


def test_references_of_other_recordings_are_refused(sounds):
    (sounds / "m.tsv").write_text("path\tlabel\na.wav\tit\n")
    with pytest.raises(InputError, match="names none of the indexed files"):
        read_places(sounds / "m.tsv", [str(Path("/elsewhere/a.wav"))], ["it"])
