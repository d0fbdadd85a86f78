from functools import partial
from typing import Any

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segment_pairs import read_segment_pairs
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.training.sequences.lists import read_pair_list, read_section_list, read_segment_list

PAIRS: dict[str, Any] = {"longest_s": 2.0, "same_file": False}


def listed_in(folder, text, name="list.txt"):
    (folder / name).write_text(text)
    return folder / name


def test_longer_segments_are_dropped(speech, tmp_path):
    lines = ["anna_0.wav anna 0.2 1.7 0.3 0.8 rise", "anna_0.wav anna 0.2 1.7 0.3 1.5 fall"]
    source = listed_in(tmp_path, "\n".join(lines))
    assert [clip.label for clip in read_segment_list(source, speech, longest_s=0.5).clips] == ["rise"]
    with pytest.raises(InputError, match=r"episodes\.longest_s"):
        read_segment_list(source, speech, longest_s=0.3)


def test_a_manifest_gives_the_folder_and_the_ends_of_its_clips(speech, tmp_path):
    clips = (Clip("anna_0.wav", 0.3, 0.8, "anna", "rise"), Clip("bert_0.wav", 3.0, None, "bert", "dip"))
    write_manifest(Manifest(clips, speech), tmp_path / "clips.tsv")
    listed = read_segment_list(tmp_path / "clips.tsv", tmp_path / "nowhere")
    assert (listed.folder / listed.clips[0].path).resolve() == (speech / "anna_0.wav").resolve()
    assert listed.clips[1].end_s == pytest.approx(audio.duration_s(speech / "bert_0.wav"))


@pytest.mark.parametrize(
    "read", [read_segment_list, read_section_list, partial(read_pair_list, longest_s=2.0, same_file=False)]
)
def test_a_list_needs_the_folder_of_its_paths(speech, read):
    with pytest.raises(InputError, match=r"data\.audio"):
        read(speech / "sections.txt", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("anna_0.wav anna 0.2", r"list\.txt:1: 3 columns, expected 4"),
        ("anna_0.wav anna 0.2 0.9\nanna_0.wav anna 1.7 0.2", r"list\.txt:2: vad_end 0\.2 is not after"),
        ("anna_0.wav anna 0.2 9.0", r"list\.txt:1: anna_0\.wav"),
        ("dora.wav dora 0.2 9.0", r"list\.txt:1: .* is missing"),
        ("", "the list is empty"),
    ],
)
def test_an_error_in_a_list_of_sections_names_its_line(speech, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_section_list(listed_in(tmp_path, text), speech)


@pytest.mark.parametrize(("path", "message"), [("anna_0.wav", "ends at 9 s, but"), ("dora.wav", "is missing")])
def test_a_manifest_of_sections_is_checked_as_a_list_is(speech, tmp_path, path, message):
    write_manifest(Manifest((Clip(path, 0.2, 9.0, "anna"),), speech), tmp_path / "sections.tsv")
    with pytest.raises(InputError, match=message):
        read_section_list(tmp_path / "sections.tsv", None)


def test_a_manifest_of_sections_equals_a_list(speech, tmp_path):
    sections = [*read_sections(speech / "sections.txt")]
    clips = tuple(Clip(one.path, one.start_s, one.end_s, one.speaker) for one in sections)
    write_manifest(Manifest(clips, speech), tmp_path / "sections.tsv")
    found, folder = read_section_list(tmp_path / "sections.tsv", None)
    assert [(folder / one.path).resolve() for one in found] == [(speech / one.path).resolve() for one in sections]
    assert [(one.speaker, one.start_s, one.end_s) for one in found] == [
        (one.speaker, one.start_s, one.end_s) for one in sections
    ]


def test_pairs_of_one_recording_are_dropped_unless_they_are_wanted(speech):
    every = [*read_segment_pairs(speech / "pairs.txt")]
    dropped = read_pair_list(speech / "pairs.txt", speech, **PAIRS)
    assert len(dropped.pairs) == sum(pair.first.path != pair.second.path for pair in every) == 60
    own = "anna_0.wav anna 0.3 0.8 anna_0.wav anna 1.1 1.6 0.5\n"
    listed = listed_in(speech, own + (speech / "pairs.txt").read_text(), "more.txt")
    assert len(read_pair_list(listed, speech, **PAIRS).pairs) == 60
    assert len(read_pair_list(listed, speech, longest_s=2.0, same_file=True).pairs) == 61


def test_each_segment_of_a_list_of_pairs_is_kept_once(speech):
    listed = read_pair_list(speech / "pairs.txt", speech, **PAIRS)
    clips = listed.segments.clips
    assert len(clips) == len(set(clips)) == 24
    every = [pair for pair in read_segment_pairs(speech / "pairs.txt") if pair.first.path != pair.second.path]
    for (first, second), pair in zip(listed.pairs.tolist(), every, strict=True):
        for row, side in ((first, pair.first), (second, pair.second)):
            clip = clips[row]
            assert (clip.path, clip.start_s, clip.end_s) == (side.path, side.start_s, side.end_s)


def test_pairs_with_a_long_segment_are_dropped(speech, tmp_path):
    long = "anna_0.wav anna 0.3 2.4 bert_0.wav bert 0.3 0.8 0.9"
    short = "anna_0.wav anna 0.3 2.3 bert_0.wav bert 0.3 0.8 0.9"
    listed = read_pair_list(listed_in(tmp_path, f"{long}\n{short}"), speech, **PAIRS)
    assert [clip.end_s for clip in listed.segments.clips] == [2.3, 0.8]
    with pytest.raises(InputError, match=r"episodes\.longest_s"):
        read_pair_list(listed_in(tmp_path, long), speech, **PAIRS)


def test_the_tenth_column_is_the_batch_where_all_pairs_have_one(speech, tmp_path):
    lines = (speech / "pairs.txt").read_text().splitlines()
    full = listed_in(tmp_path, "\n".join(f"{line} {row % 7}" for row, line in enumerate(lines)))
    np.testing.assert_array_equal(read_pair_list(full, speech, **PAIRS).batch, np.arange(60) % 7)
    some = listed_in(tmp_path, "\n".join([f"{lines[0]} 3", *lines[1:]]))
    assert read_pair_list(some, speech, **PAIRS).batch is None


def test_a_manifest_of_pairs_equals_a_list(speech, tmp_path):
    clips = [
        Clip(side.path, side.start_s, side.end_s, side.speaker, f"pair{number}")
        for number, pair in enumerate(read_segment_pairs(speech / "pairs.txt"))
        for side in (pair.first, pair.second)
    ]
    write_manifest(Manifest(tuple(clips), speech), tmp_path / "pairs.tsv")
    listed = read_pair_list(speech / "pairs.txt", speech, **PAIRS)
    other = read_pair_list(tmp_path / "pairs.tsv", None, **PAIRS)

    def sides(found):
        places = [((found.segments.folder / clip.path).resolve(), clip.start_s) for clip in found.segments.clips]
        return {frozenset(places[row] for row in pair) for pair in found.pairs.tolist()}

    assert sides(other) == sides(listed)
    assert len(other.segments.clips) == 24
    assert other.batch is None


def test_clips_without_end_may_be_pairs_too(speech, tmp_path):
    clips = [Clip(f"{voice}_0.wav", 2.7, None, voice, "pair0") for voice in ("anna", "bert")]
    write_manifest(Manifest(tuple(clips), speech), tmp_path / "pairs.tsv")
    found = read_pair_list(tmp_path / "pairs.tsv", None, **PAIRS)
    assert [clip.end_s for clip in found.segments.clips] == [audio.duration_s(speech / clip.path) for clip in clips]


@pytest.mark.parametrize("count", [1, 3])
def test_a_label_of_a_manifest_of_pairs_is_two_segments(speech, tmp_path, count):
    clips = [Clip(f"anna_{row % 2}.wav", 0.3 * row, 0.3 * row + 0.5, "anna", "seven") for row in range(count)]
    write_manifest(Manifest(tuple(clips), speech), tmp_path / "pairs.tsv")
    with pytest.raises(InputError, match=f"'seven' has {count} "):
        read_pair_list(tmp_path / "pairs.tsv", None, **PAIRS)
