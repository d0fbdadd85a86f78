import os
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.evaluation.protocols.trials import (
    TrialClip,
    every_path,
    find_pairs,
    keep_words,
    read_list,
    read_pair,
    speakers_of,
    write_list,
)


def write_lists(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)


def test_a_written_list_reads_back_as_it_was(tmp_path):
    clips = (TrialClip("yes", "yes/a b.opus"), TrialClip("_silence_", "_silence_/1.opus"), TrialClip("هو", "x/ü.wav"))
    write_list(clips, tmp_path / "list.txt")
    assert read_list(tmp_path / "list.txt") == clips


def test_spaces_in_a_label_are_written_as_underscores(tmp_path):
    write_list([TrialClip("zoom in", "a.wav")], tmp_path / "list.txt")
    assert (tmp_path / "list.txt").read_text() == "zoom_in a.wav\n"


@pytest.mark.parametrize("clip", [TrialClip("", "a.wav"), TrialClip("yes", ""), TrialClip("yes", "a\nb.wav")])
def test_a_clip_that_does_not_fit_on_a_line_is_refused(tmp_path, clip):
    with pytest.raises(InputError, match=r"list.txt: "):
        write_list([clip], tmp_path / "list.txt")


def test_windows_line_ends_a_byte_order_mark_and_empty_lines_are_read(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfyes a.wav\r\n\r\nno b.wav\r\n")
    assert read_list(tmp_path / "list.txt") == (TrialClip("yes", "a.wav"), TrialClip("no", "b.wav"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"yes a.wav\nno\n", r"list.txt:2: "),
        (b"yes a.wav\nno b.wav\nyes a.wav\n", r"list.txt:3: a.wav"),
        (b"\n", r"list.txt: the list is empty"),
        (b"\xff\xfe\x00", r"list.txt: "),
    ],
)
def test_a_bad_list_is_refused_in_one_line_with_file_and_line(tmp_path, text, message):
    (tmp_path / "list.txt").write_bytes(text)
    with pytest.raises(InputError, match=message) as refused:
        read_list(tmp_path / "list.txt")
    assert "\n" not in str(refused.value)


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"list.txt: No such file"):
        read_list(tmp_path / "list.txt")


def test_a_missing_recording_is_named_with_its_line(tmp_path):
    (tmp_path / "a.wav").touch()
    write_lists(tmp_path, list="yes a.wav\nno b.wav\n")
    with pytest.raises(InputError, match=r"list.txt:2: .*b.wav is missing"):
        read_list(tmp_path / "list.txt", audio=tmp_path)


def test_a_clip_that_enrolls_and_tests_is_refused(tmp_path):
    write_lists(tmp_path, enroll_k1_s0="yes a.wav\n", test_k1_s0="no b.wav\nyes a.wav\n")
    with pytest.raises(InputError, match=r"test_k1_s0.txt:2: a.wav is in enroll_k1_s0.txt"):
        read_pair(tmp_path / "enroll_k1_s0.txt", tmp_path / "test_k1_s0.txt")


def test_a_test_list_without_any_enrolled_word_is_refused(tmp_path):
    write_lists(tmp_path, enroll_k1_s0="yes a.wav\n", test_k1_s0="no b.wav\n")
    with pytest.raises(InputError, match="no clip of any keyword"):
        read_pair(tmp_path / "enroll_k1_s0.txt", tmp_path / "test_k1_s0.txt")


def test_pairs_are_grouped_into_conditions_in_natural_order(tmp_path):
    names = ["k10_s0", "k1_s10", "k1_s2", "across_k5_s1", "personal_k3_00000014", "personal_k3_00000003"]
    for name in names:
        write_lists(tmp_path, **{f"enroll_{name}": "yes a.wav\n", f"test_{name}": "yes b.wav\nno c.wav\n"})
    found = find_pairs(tmp_path)
    assert {name: [pair.draw for pair in pairs] for name, pairs in found.items()} == {
        "across_k5": ["s1"],
        "k1": ["s2", "s10"],
        "k10": ["s0"],
        "personal_k3": ["00000003", "00000014"],
    }
    assert list(found) == ["across_k5", "k1", "k10", "personal_k3"]
    assert [pair.draw for pair in find_pairs(tmp_path, draws=1)["k1"]] == ["s2"]
    assert every_path(found) == ["a.wav", "b.wav", "c.wav"]


@pytest.mark.parametrize(("present", "missing"), [("enroll", "test"), ("test", "enroll")])
def test_a_list_without_its_partner_is_refused(tmp_path, present, missing):
    write_lists(tmp_path, enroll_k1_s0="yes a.wav\n", test_k1_s0="yes b.wav\n", **{f"{present}_k5_s0": "yes a.wav\n"})
    with pytest.raises(InputError, match=rf"{present}_k5_s0.txt: {missing}_k5_s0.txt is missing"):
        find_pairs(tmp_path)


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(InputError, match="enroll_<condition>"):
        find_pairs(tmp_path)


def test_a_list_whose_name_has_no_draw_is_refused(tmp_path):
    write_lists(tmp_path, enroll_k5="yes a.wav\n", test_k5="yes b.wav\n")
    with pytest.raises(InputError, match=r"enroll_k5.txt: expected a name like"):
        find_pairs(tmp_path)


@pytest.mark.corpora
def test_the_real_lists_have_the_sizes_that_the_benchmark_states():
    data = Path(os.environ.get("EARMARK_DATA", "../shared/data"))
    if not (data / "trials").is_dir():
        pytest.skip(f"no trial lists in {data}; set EARMARK_DATA")
    gsc = find_pairs(data / "trials" / "gsc10", audio=data / "speech_commands_test")
    assert {name: len(pairs) for name, pairs in gsc.items()} == {"k1": 5, "k5": 5, "k10": 5}
    first = gsc["k5"][0]
    assert (len(first.enrollment), len(first.test), len(first.keywords)) == (50, 3515, 10)
    assert sum(clip.label not in first.keywords for clip in first.test) > 408  # silence and other words
    arabic = find_pairs(data / "trials" / "arabic40", audio=data / "arabic_commands")
    assert {name: len(pairs) for name, pairs in arabic.items()} == {
        **dict.fromkeys(["across_k1", "across_k3", "across_k5", "across_k10"], 3),
        **dict.fromkeys(["personal_k1", "personal_k3", "personal_k5"], 6),
    }
    assert {len(pair.keywords) for pairs in arabic.values() for pair in pairs} == {40}


def three_words(folder):
    write_lists(
        folder,
        enroll_k1_s0="yes a.wav\nno b.wav\nzoom_in c.wav\n",
        test_k1_s0="yes d.wav\nno e.wav\nzoom_in f.wav\n",
    )
    return find_pairs(folder)


def test_only_the_wanted_words_enroll_and_the_others_become_impostors(tmp_path):
    (pair,) = keep_words(three_words(tmp_path), ["yes", "zoom in"])["k1"]
    assert pair.keywords == ("yes", "zoom_in")
    assert [clip.path for clip in pair.enrollment] == ["a.wav", "c.wav"]
    assert [clip.label for clip in pair.test] == ["yes", "no", "zoom_in"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["yes", "zom in"], r"k1_s0: 'zom_in' is not in its enrollment list; did you mean 'zoom_in'\?"),
        (["stop"], r"k1_s0: 'stop' is not in its enrollment list; it has no, yes, zoom_in"),
    ],
)
def test_a_wanted_word_that_is_not_enrolled_is_named_with_the_cure(tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        keep_words(three_words(tmp_path), words)


def test_a_wanted_word_that_is_not_tested_is_named(tmp_path):
    write_lists(tmp_path, enroll_k1_s0="yes a.wav\nno b.wav\n", test_k1_s0="yes d.wav\n")
    with pytest.raises(InputError, match=r"k1_s0: 'no' is not in its test list"):
        keep_words(find_pairs(tmp_path), ["no"])


def test_speakers_come_from_the_manifest_where_there_is_one(tmp_path):
    (tmp_path / "manifest.tsv").write_text("path\tspeaker\na_nohash_0.wav\tanna\nb.wav\t\n")
    assert speakers_of(tmp_path, ["a_nohash_0.wav", "b.wav", "c.wav"]) == {"a_nohash_0.wav": "anna"}


def test_speakers_come_from_the_names_of_speech_commands_otherwise(tmp_path):
    paths = ["yes/0a7c2a8d_nohash_0.wav", "_silence_/1.wav"]
    assert speakers_of(tmp_path, paths) == {"yes/0a7c2a8d_nohash_0.wav": "0a7c2a8d"}
