import json
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.alignment.forced import Phone, Word
from earmark.data.alignment.formats import Alignments, read_alignments
from earmark.data.manifest import Clip, Manifest

WORDS = (Word("we", 0.5, 0.75), Word("call", 0.75, 1.25))


def long_grid(words: str, phones: str = "phones") -> str:
    """A TextGrid in the long format with a tier of words and one of phones."""
    tiers = {
        words: [(0, 0.5, ""), (0.5, 0.75, "We"), (0.75, 1.25, "call"), (1.25, 2, "<unk>")],
        phones: [(0.5, 0.6, "W"), (0.6, 0.75, "IY1"), (0.75, 1.25, "K")],
    }
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", "xmax = 2", "tiers? <exists>"]
    lines += ["size = 2", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", "        xmax = 2", f"        intervals: size = {len(intervals)}"]
        for place, (start, end, text) in enumerate(intervals, 1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start}", f"            xmax = {end}"]
            lines += [f'            text = "{text}"']
    return "\n".join(lines) + "\n"


def plain(words: object) -> list[tuple[str, float, float]]:
    assert isinstance(words, tuple)
    return [(word.text, word.start_s, word.end_s) for word in words]


def test_a_text_grid_gives_words_and_their_phones_without_silences(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "1.TextGrid").write_text(long_grid("words"))
    words = read_alignments(tmp_path).words["anna/1"]
    assert words == (
        Word("we", 0.5, 0.75, (Phone("W", 0.5, 0.6), Phone("IY1", 0.6, 0.75))),
        Word("call", 0.75, 1.25, (Phone("K", 0.75, 1.25),)),
    )


def test_a_text_grid_that_names_the_speaker_in_its_tiers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "1.TextGrid"
    path.write_text(long_grid("anna - words", "anna - phones"))
    (words,) = read_alignments(path).words.values()
    assert [len(word.phones) for word in words] == [2, 1]


def test_a_text_grid_without_a_tier_of_words_is_an_error_that_names_its_tiers(tmp_path: Path) -> None:
    (tmp_path / "1.TextGrid").write_text(long_grid("sentence"))
    with pytest.raises(InputError, match=r"1\.TextGrid: .*sentence, phones"):
        read_alignments(tmp_path)
    (tmp_path / "1.TextGrid").write_text("no grid")
    with pytest.raises(InputError, match=r"1\.TextGrid"):
        read_alignments(tmp_path)


def test_ctm_lines_are_words_of_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "words.ctm"
    path.write_text(";; made by hand\n1 A 0.75 0.5 Call 0.9\n1 A 0.5 0.25 we\n1 A 1.25 0.3 <eps>\n\n2 A 0.1 0.2 it\n")
    words = read_alignments(path).words
    assert plain(words["1"]) == plain(WORDS)
    assert plain(words["2"]) == [("it", 0.1, 0.3)]
    path.write_text("1 A 0.75 call\n")
    with pytest.raises(InputError, match=r"words\.ctm:1"):
        read_alignments(path)


@pytest.mark.parametrize("form", ["array", "lines"])
def test_json_is_an_array_or_one_record_a_line(tmp_path: Path, form: str) -> None:
    records = [
        {"made_by": {"aligner": "x"}},
        {"path": "/corpus/wav/1.opus", "words": [{"text": "We", "start_s": 0.5, "end_s": 0.75}]},
        {"path": "/corpus/wav/1.opus", "words": [{"text": "call", "start_s": 0.75, "end_s": 1.25}], "failure": ""},
    ]
    path = tmp_path / "words.json"
    path.write_text(json.dumps(records) if form == "array" else "\n".join(map(json.dumps, records)))
    assert plain(read_alignments(path).words["/corpus/wav/1"]) == plain(WORDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"words\.json:1"),
        ("[1]", "record 1: .*int"),
        ('{"path": "1.wav", "words": [{"text": "we"}]}', "record 1: .*'start_s'"),
        ('{"words": []}', "record 1: .*'path'"),
        ("{}", r"words\.json"),
    ],
)
def test_faulty_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "words.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_alignments(tmp_path / "words.json")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.ctm"):
        read_alignments(tmp_path / "absent.ctm")
    with pytest.raises(InputError, match="TextGrids"):
        read_alignments(tmp_path)
    (tmp_path / "words.lab").write_text("")
    with pytest.raises(InputError, match=r"words\.lab"):
        read_alignments(tmp_path / "words.lab")


def test_recordings_are_found_by_the_end_of_their_path() -> None:
    alignments = Alignments(Path("grids"), {"anna/1": WORDS[:1], "bob/1": WORDS[1:]})
    manifest = Manifest((Clip("wav/bob/1.opus"), Clip("wav/anna/1.opus"), Clip("wav/anna/2.opus")))
    found = alignments.of(manifest)
    assert [[word.text for word in each.words] for each in found] == [["call"], ["we"], []]
    assert found[2].failure == "no alignment"
    with pytest.raises(InputError, match=r"anna/1 and bob/1 .*wav/carl/1\.opus"):
        alignments.of(Manifest((Clip("wav/carl/1.opus"),)))
    with pytest.raises(InputError, match=r"grids: .*anna/1, bob/1"):
        alignments.of(Manifest((Clip("wav/anna/3.opus"),)))


def test_a_part_of_a_file_gets_the_words_inside_it() -> None:
    alignments = Alignments(Path("words.ctm"), {"1": WORDS})
    found = alignments.of(Manifest((Clip("1.wav", 0.0, 0.75), Clip("1.wav", 0.75, 1.3))))
    assert [[word.text for word in each.words] for each in found] == [["we"], ["call"]]


def test_an_alignment_of_other_words_than_the_text_is_refused() -> None:
    alignments = Alignments(Path("words.ctm"), {"1": WORDS})
    assert alignments.of(Manifest((Clip("1.wav", text="WE, call it"),)))[0].words == WORDS
    with pytest.raises(InputError, match=r"words\.ctm: 1 has 'call' at 0\.75 s"):
        alignments.of(Manifest((Clip("1.wav", text="we fall"),)))
