from functools import partial

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segment_pairs import read_segment_pairs
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.training.sequences.frames import ContextSettings, build_source, section_frames, times_s
from earmark.training.sequences.frames.log_mel import LogMelFrameSettings
from earmark.training.sequences.segments import (
    Listed,
    SegmentFrames,
    read_listed,
    read_listed_pairs,
    read_listed_sections,
)

SOURCE = build_source(LogMelFrameSettings(n_mels=12, hop_s=0.02))
CONTEXT = ContextSettings()
PAIRS = {"longest_s": 2.0, "same_file": False}


def listed_in(folder, text, name="list.txt"):
    (folder / name).write_text(text)
    return folder / name


def frames_of(cut):
    return cut.frames[cut.first : cut.stop]


@pytest.mark.parametrize("with_sections", [True, False])
def test_a_segments_frames_are_those_whose_instants_lie_in_it(speech, tmp_path, with_sections):
    listed = read_listed(speech / "labeled.txt", speech)
    sections = [*read_sections(speech / "sections.txt")] if with_sections else None
    frames = SegmentFrames(listed, sections, SOURCE, tmp_path / "kept", CONTEXT)
    assert frames.kept.tolist() == list(range(24))
    for row in (0, 5, 23, 6):
        clip = listed.clips[row]
        whole = SOURCE.frames(audio.read(speech / clip.path))
        at_s = times_s(SOURCE, len(whole))
        is_inside = (at_s >= clip.start_s - 1e-6) & (at_s <= clip.end_s + 1e-6)
        (cut,) = frames.cuts([row])
        np.testing.assert_allclose(frames_of(cut), whole[is_inside], atol=0.02)


def test_a_cut_knows_the_frames_around_it_but_not_an_hour_of_them(tmp_path):
    noise = np.random.default_rng(0).standard_normal(30 * audio.SAMPLE_RATE)
    audio.write(tmp_path / "long.wav", 0.1 * noise)
    spans = [(0.0, 0.4), (12.3, 12.9), (19.9, 20.2), (29.7, 30.0)]
    listed = Listed(tuple(Clip("long.wav", *span, "anna") for span in spans), tmp_path)
    frames = SegmentFrames(listed, None, SOURCE, tmp_path / "kept", CONTEXT, around=32)
    whole, first_s = section_frames(SOURCE, audio.read(tmp_path / "long.wav"), 0.0, 30.0, CONTEXT)
    assert first_s == 0
    for (start_s, _), cut in zip(spans, frames.cuts(range(4)), strict=True):
        first = round(start_s / 0.02)
        np.testing.assert_allclose(
            cut.frames, whole[first - cut.first : first - cut.first + len(cut.frames)], atol=0.02
        )
        around = cut.first, len(cut.frames) - cut.stop
        assert max(around) <= 32
        assert around[0] == min(32, first)
        assert around[1] == min(32, len(whole) - first - (cut.stop - cut.first))


def test_segments_without_a_frame_are_left_out(speech, tmp_path):
    slow = build_source(LogMelFrameSettings(n_mels=8, hop_s=0.1))
    clips = tuple(Clip("anna_0.wav", start_s, start_s + 0.04, "anna") for start_s in (0.28, 0.32, 0.48))
    frames = SegmentFrames(Listed(clips, speech), None, slow, tmp_path / "kept", CONTEXT)
    assert frames.kept.tolist() == [0, 2]
    with pytest.raises(InputError, match="none of 1 segments is as long as a frame"):
        SegmentFrames(Listed(clips[1:2], speech), None, slow, tmp_path / "kept", CONTEXT)


def test_two_lists_of_the_same_speakers_are_kept_in_one_folder_at_the_same_time(speech, tmp_path):
    first = read_listed(speech / "labeled.txt", speech)
    one = SegmentFrames(first, [*read_sections(speech / "sections.txt")], SOURCE, tmp_path / "kept", CONTEXT)
    two = SegmentFrames(first, None, SOURCE, tmp_path / "kept", CONTEXT)
    # Nothing of the first had been read when the second was encoded beside it.
    for cut, other in zip(one.cuts(range(24)), two.cuts(range(24)), strict=True):
        np.testing.assert_array_equal(frames_of(cut), frames_of(other))


def test_a_segment_that_lies_in_no_section_is_refused(speech, tmp_path):
    listed = Listed((Clip("anna_0.wav", 1.6, 1.75, "anna"),), speech)
    sections = [*read_sections(speech / "sections.txt")]
    with pytest.raises(InputError, match=r"anna_0\.wav: the segment from 1\.6 to 1\.75 s lies in no section of"):
        SegmentFrames(listed, sections, SOURCE, tmp_path / "kept", CONTEXT)


def test_a_segment_beyond_its_recordings_end_is_refused_but_for_rounding(speech, tmp_path):
    end_s = audio.duration_s(speech / "anna_0.wav")
    rounded = Listed((Clip("anna_0.wav", end_s - 0.3, end_s + 0.03, "anna"),), speech)
    (cut,) = SegmentFrames(rounded, None, SOURCE, tmp_path / "kept", CONTEXT).cuts([0])
    assert cut.stop - cut.first >= 15
    beyond = Listed((Clip("anna_0.wav", end_s - 0.3, end_s + 0.3, "anna"),), speech)
    with pytest.raises(InputError, match=rf"anna_0\.wav: ends at {end_s + 0.3:g} s, but .* at {end_s:.2f} s"):
        SegmentFrames(beyond, None, SOURCE, tmp_path / "kept", CONTEXT)


def test_a_recording_that_is_missing_is_named(speech, tmp_path):
    listed = Listed((Clip("dora.wav", 0.0, 0.5, "dora"),), speech)
    with pytest.raises(InputError, match=r"no file .*dora\.wav"):
        SegmentFrames(listed, None, SOURCE, tmp_path / "kept", CONTEXT)


def test_longer_segments_are_left_out(speech, tmp_path):
    lines = ["anna_0.wav anna 0.2 1.7 0.3 0.8 rise", "anna_0.wav anna 0.2 1.7 0.3 1.5 fall"]
    source = listed_in(tmp_path, "\n".join(lines))
    assert [clip.label for clip in read_listed(source, speech, longest_s=0.5).clips] == ["rise"]
    with pytest.raises(InputError, match=r"all segments are longer than 0\.3 s; raise episodes\.longest_s"):
        read_listed(source, speech, longest_s=0.3)


def test_a_manifest_knows_where_its_recordings_are_and_clips_without_end_go_on_to_theirs(speech, tmp_path):
    clips = (Clip("anna_0.wav", 0.3, 0.8, "anna", "rise"), Clip("bert_0.wav", 3.0, None, "bert", "dip"))
    write_manifest(Manifest(clips, speech), tmp_path / "clips.tsv")
    listed = read_listed(tmp_path / "clips.tsv", tmp_path / "nowhere")
    assert (listed.folder / listed.clips[0].path).resolve() == (speech / "anna_0.wav").resolve()
    assert listed.clips[1].end_s == pytest.approx(audio.duration_s(speech / "bert_0.wav"))


@pytest.mark.parametrize(
    "read", [read_listed, read_listed_sections, partial(read_listed_pairs, longest_s=2.0, same_file=False)]
)
def test_a_list_needs_to_know_where_its_paths_start_from(speech, read):
    with pytest.raises(InputError, match=r"data\.audio: say which folder the paths in .* start from"):
        read(speech / "sections.txt", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("anna_0.wav anna 0.2", r"list\.txt:1: 3 columns, expected 4"),
        ("anna_0.wav anna 0.2 0.9\nanna_0.wav anna 1.7 0.2", r"list\.txt:2: vad_end 0\.2 is not after"),
        ("anna_0.wav anna 0.2 9.0", r"list\.txt:1: anna_0\.wav"),
        ("dora.wav dora 0.2 9.0", r"list\.txt:1: no file"),
        ("", "the list is empty"),
    ],
)
def test_a_broken_list_of_sections_is_named_by_its_line(speech, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_listed_sections(listed_in(tmp_path, text), speech)


@pytest.mark.parametrize(("path", "message"), [("anna_0.wav", "ends at 9 s, but"), ("dora.wav", "no file")])
def test_a_manifest_of_sections_is_checked_as_a_list_is(speech, tmp_path, path, message):
    write_manifest(Manifest((Clip(path, 0.2, 9.0, "anna"),), speech), tmp_path / "sections.tsv")
    with pytest.raises(InputError, match=message):
        read_listed_sections(tmp_path / "sections.tsv", None)


def test_a_manifest_of_sections_says_the_same_as_a_list(speech, tmp_path):
    sections = [*read_sections(speech / "sections.txt")]
    clips = tuple(Clip(one.path, one.start_s, one.end_s, one.speaker) for one in sections)
    write_manifest(Manifest(clips, speech), tmp_path / "sections.tsv")
    found, folder = read_listed_sections(tmp_path / "sections.tsv", None)
    assert [(folder / one.path).resolve() for one in found] == [(speech / one.path).resolve() for one in sections]
    assert [(one.speaker, one.start_s, one.end_s) for one in found] == [
        (one.speaker, one.start_s, one.end_s) for one in sections
    ]


def test_pairs_of_one_recording_are_dropped_unless_they_are_wanted(speech):
    every = [*read_segment_pairs(speech / "pairs.txt")]
    dropped = read_listed_pairs(speech / "pairs.txt", speech, **PAIRS)
    assert len(dropped.pairs) == sum(pair.first.path != pair.second.path for pair in every) == 60
    own = "anna_0.wav anna 0.3 0.8 anna_0.wav anna 1.1 1.6 0.5\n"
    listed = listed_in(speech, own + (speech / "pairs.txt").read_text(), "more.txt")
    assert len(read_listed_pairs(listed, speech, **PAIRS).pairs) == 60
    assert len(read_listed_pairs(listed, speech, longest_s=2.0, same_file=True).pairs) == 61


def test_each_segment_of_a_list_of_pairs_is_kept_once(speech):
    listed = read_listed_pairs(speech / "pairs.txt", speech, **PAIRS)
    clips = listed.segments.clips
    assert len(clips) == len(set(clips)) == 24
    every = [pair for pair in read_segment_pairs(speech / "pairs.txt") if pair.first.path != pair.second.path]
    for (first, second), pair in zip(listed.pairs.tolist(), every, strict=True):
        for row, side in ((first, pair.first), (second, pair.second)):
            clip = clips[row]
            assert (clip.path, clip.start_s, clip.end_s) == (side.path, side.start_s, side.end_s)


def test_pairs_with_a_long_segment_are_left_out(speech, tmp_path):
    long = "anna_0.wav anna 0.3 2.4 bert_0.wav bert 0.3 0.8 0.9"
    short = "anna_0.wav anna 0.3 2.3 bert_0.wav bert 0.3 0.8 0.9"
    listed = read_listed_pairs(listed_in(tmp_path, f"{long}\n{short}"), speech, **PAIRS)
    assert [clip.end_s for clip in listed.segments.clips] == [2.3, 0.8]
    with pytest.raises(InputError, match=r"no pair is left; raise episodes\.longest_s"):
        read_listed_pairs(listed_in(tmp_path, long), speech, **PAIRS)


def test_the_tenth_column_is_the_batch_where_all_pairs_have_one(speech, tmp_path):
    lines = (speech / "pairs.txt").read_text().splitlines()
    full = listed_in(tmp_path, "\n".join(f"{line} {row % 7}" for row, line in enumerate(lines)))
    np.testing.assert_array_equal(read_listed_pairs(full, speech, **PAIRS).batch, np.arange(60) % 7)
    some = listed_in(tmp_path, "\n".join([f"{lines[0]} 3", *lines[1:]]))
    assert read_listed_pairs(some, speech, **PAIRS).batch is None


def test_a_manifest_of_pairs_says_the_same_as_a_list(speech, tmp_path):
    clips = [
        Clip(side.path, side.start_s, side.end_s, side.speaker, f"pair{number}")
        for number, pair in enumerate(read_segment_pairs(speech / "pairs.txt"))
        for side in (pair.first, pair.second)
    ]
    write_manifest(Manifest(tuple(clips), speech), tmp_path / "pairs.tsv")
    listed = read_listed_pairs(speech / "pairs.txt", speech, **PAIRS)
    other = read_listed_pairs(tmp_path / "pairs.tsv", None, **PAIRS)

    def sides(found):
        places = [((found.segments.folder / clip.path).resolve(), clip.start_s) for clip in found.segments.clips]
        return {frozenset(places[row] for row in pair) for pair in found.pairs.tolist()}

    assert sides(other) == sides(listed)
    assert len(other.segments.clips) == 24
    assert other.batch is None


def test_clips_without_end_may_be_pairs_too(speech, tmp_path):
    clips = [Clip(f"{voice}_0.wav", 2.7, None, voice, "pair0") for voice in ("anna", "bert")]
    write_manifest(Manifest(tuple(clips), speech), tmp_path / "pairs.tsv")
    found = read_listed_pairs(tmp_path / "pairs.tsv", None, **PAIRS)
    assert [clip.end_s for clip in found.segments.clips] == [audio.duration_s(speech / clip.path) for clip in clips]


@pytest.mark.parametrize("count", [1, 3])
def test_a_label_of_a_manifest_of_pairs_is_two_segments(speech, tmp_path, count):
    clips = [Clip(f"anna_{row % 2}.wav", 0.3 * row, 0.3 * row + 0.5, "anna", "seven") for row in range(count)]
    write_manifest(Manifest(tuple(clips), speech), tmp_path / "pairs.tsv")
    with pytest.raises(InputError, match=f"label 'seven' has {count} segments; in a manifest of pairs each has 2"):
        read_listed_pairs(tmp_path / "pairs.tsv", None, **PAIRS)
