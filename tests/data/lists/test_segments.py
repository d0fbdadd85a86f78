"""Lists of sections, segments and pairs in the published columns."""

from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.sections import by_path, read_sections, write_sections
from earmark.data.lists.segment_pairs import SegmentPair, read_segment_pairs, write_segment_pairs
from earmark.data.lists.segments import SpeechSegment, read_clips, read_segments, write_segments
from earmark.data.lists.spans import Span
from earmark.data.manifest import read_manifest

SECTION = Span("wav/a.wav", "anna", 0.5, 2.0)


@pytest.fixture
def written(tmp_path: Path):
    """A function that writes a list of some lines, and returns its path."""

    def write(*lines: str) -> Path:
        path = tmp_path / "list.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a recording of two seconds."""
    (tmp_path / "wav").mkdir()
    audio.write(tmp_path / "wav" / "a.wav", np.full(32_000, 0.1, np.float32))
    return tmp_path


@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".parquet"])
def test_sections_are_read_back_as_they_were_written(folder, suffix):
    sections = [SECTION, Span("wav/a.wav", "", 0.0, 0.123456)]
    path = folder / f"sections{suffix}"
    assert write_sections(iter(sections), path, folder=folder) == 2
    assert list(read_sections(path)) == sections


def test_a_section_list_has_the_published_columns(tmp_path):
    write_sections([SECTION, Span("b.wav", "", 1.0, 1.48)], tmp_path / "list")
    assert (tmp_path / "list").read_text() == "wav/a.wav anna 0.5 2.0\nb.wav - 1.0 1.48\n"


def test_segments_are_read_back_as_they_were_written(tmp_path):
    segments = [SpeechSegment(SECTION, 0.5, 0.66, "HH,AH"), SpeechSegment(SECTION, 0.66, 0.98)]
    write_segments(iter(segments), tmp_path / "list.txt")
    assert (tmp_path / "list.txt").read_text().splitlines()[1] == "wav/a.wav anna 0.5 2.0 0.66 0.98 NOTRANS"
    assert list(read_segments(tmp_path / "list.txt")) == segments


def test_equal_labels_in_a_row_and_the_last_line_are_kept(written):
    """The published reader of segment lists drops both."""
    lines = [f"a.wav anna 0 9 {start} {start + 0.5} {label}" for start, label in enumerate(["a", "a", "a", "b"])]
    assert [segment.label for segment in read_segments(written(*lines))] == ["a", "a", "a", "b"]


def test_a_last_line_without_line_break_counts(tmp_path):
    (tmp_path / "list").write_text("a.wav anna 0 1\n\nb.wav anna 0 1")
    assert [section.path for section in read_sections(tmp_path / "list")] == ["a.wav", "b.wav"]


@pytest.mark.parametrize("batch", [None, 3])
def test_pairs_are_read_back_with_and_without_a_batch(tmp_path, batch):
    pair = SegmentPair(SECTION, Span("b.wav", "", 1.0, 1.48), 0.8125, batch)
    write_segment_pairs([pair], tmp_path / "pairs")
    assert len((tmp_path / "pairs").read_text().split()) == (9 if batch is None else 10)
    assert list(read_segment_pairs(tmp_path / "pairs")) == [pair]


@pytest.mark.parametrize(
    ("read", "line", "key"),
    [
        (read_sections, "a.wav anna 0", "3 columns"),
        (read_sections, "my file.wav anna 0 1", "5 columns"),
        (read_sections, "a.wav anna zero 1", "vad_start"),
        (read_sections, "a.wav anna 0 nan", "vad_end"),
        (read_sections, "a.wav anna -1 1", "vad_start"),
        (read_sections, "a.wav anna 2 1", "vad_end"),
        (read_sections, "a.wav anna 1 1.01", "10 ms from vad_start to vad_end"),
        (read_segments, "a.wav anna 0 1 0.5 1.5 x", r"the segment from 0\.5 to 1\.5 s"),
        (read_segments, "a.wav anna 0 1 0.5 0.4 x", "seg_end"),
        (read_segments, "a.wav anna 0 1 0.5 0.9 zoom in", "8 columns"),
        (read_segment_pairs, "a.wav x 0 1 b.wav y 0 1", "8 columns"),
        (read_segment_pairs, "a.wav x 0 1 b.wav y 0 1 high", "similarity"),
        (read_segment_pairs, "a.wav x 0 1 b.wav y 0 1 0.5 -1", "batch"),
        (read_segment_pairs, "a.wav x 0 1 b.wav y 1 0 0.5", "e2"),
    ],
)
def test_the_error_of_a_list_names_line_and_column(written, read, line, key):
    with pytest.raises(InputError, match=rf"list\.txt:1: {key}"):
        list(read(written(line)))


def test_the_line_number_of_an_error_counts_empty_lines(written):
    with pytest.raises(InputError, match=r"list\.txt:3: 3 columns"):
        list(read_sections(written("a.wav anna 0 1", "", "a.wav anna 0")))


def test_a_segment_may_exceed_its_section_by_rounding(written):
    assert list(read_segments(written("a.wav anna 0.1 1.0 0.0995 1.0005 x")))


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_list_is_an_error(tmp_path, content):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(InputError, match="wav spk vad_start vad_end"):
        list(read_sections(tmp_path / "list"))


def test_the_error_names_a_list_that_cannot_be_read(tmp_path):
    (tmp_path / "list").write_bytes(b"a.wav anna 0 1\n\xff\xfe")
    with pytest.raises(InputError, match="list: "):
        list(read_sections(tmp_path / "list"))
    with pytest.raises(InputError, match="absent"):
        list(read_sections(tmp_path / "absent"))


def test_the_error_of_a_missing_recording_names_the_line(folder, written):
    path = written("wav/a.wav anna 0 1", "wav/b.wav anna 0 1")
    with pytest.raises(InputError, match=r"list\.txt:2: .*b\.wav"):
        list(read_sections(path, audio=folder))


def test_a_section_ends_with_its_file(folder, written):
    assert list(read_sections(written("wav/a.wav anna 0 2.04"), audio=folder))  # rounding
    with pytest.raises(InputError, match=r"list\.txt:1: wav/a\.wav"):
        list(read_sections(written("wav/a.wav anna 0 2.5"), audio=folder))


def test_a_recording_is_found_without_its_suffix(folder):
    assert AudioFolder(folder).locate("wav/a") == folder / "wav" / "a.wav"


@pytest.mark.parametrize(("path", "speaker"), [("my file.wav", "anna"), ("a.wav", "anna maria"), ("", "anna")])
def test_a_path_or_speaker_with_spaces_is_refused_and_nothing_is_written(tmp_path, path, speaker):
    with pytest.raises(InputError, match=r"list\.txt: (wav|spk)"):
        write_sections([SECTION, Span(path, speaker, 0.0, 1.0)], tmp_path / "list.txt")
    assert not list(tmp_path.iterdir())


def test_a_manifest_holds_paths_and_labels_with_spaces(tmp_path):
    segments = [SpeechSegment(Span("my file.wav", "anna maria", 0.0, 2.0), 0.5, 1.0, "zoom in")]
    write_segments(segments, tmp_path / "m.tsv", folder=tmp_path)
    (clip,) = read_manifest(tmp_path / "m.tsv")
    assert (clip.path, clip.speaker, clip.label) == ("my file.wav", "anna maria", "zoom in")


def test_lists_and_manifests_give_the_same_clips(folder):
    segments = [SpeechSegment(SECTION, 0.5, 1.0, "yes")]
    write_segments(segments, folder / "list.txt")
    write_segments(segments, folder / "m.tsv", folder=folder)
    from_list, recordings = read_clips(folder / "list.txt", folder)
    from_manifest, same = read_clips(folder / "m.tsv")
    assert list(from_list) == list(from_manifest)
    assert recordings.locate("wav/a.wav") == same.locate("wav/a.wav")


def test_a_list_needs_a_folder_and_a_manifest_needs_none(folder):
    write_segments([SpeechSegment(SECTION, 0.5, 1.0)], folder / "list.txt")
    write_segments([SpeechSegment(SECTION, 0.5, 1.0)], folder / "m.tsv", folder=folder)
    with pytest.raises(InputError, match="audio: "):
        read_clips(folder / "list.txt")
    with pytest.raises(InputError, match="audio: "):
        read_clips(folder / "m.tsv", folder)
    with pytest.raises(InputError, match="split 'test'"):
        read_clips(folder / "m.tsv", split="test")


def test_sections_are_grouped_by_recording():
    sections = [SECTION, Span("b.wav", "", 0.0, 1.0), Span("wav/a.wav", "anna", 3.0, 4.0)]
    assert {path: len(some) for path, some in by_path(sections).items()} == {"b.wav": 1, "wav/a.wav": 2}


def test_a_clip_without_end_is_a_section_to_the_end_of_its_file(folder):
    (folder / "m.tsv").write_text("path\tspeaker\nwav/a.wav\tanna\n")
    assert list(read_sections(folder / "m.tsv")) == [Span("wav/a.wav", "anna", 0.0, 2.0)]


@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".parquet"])
def test_a_full_disk_leaves_the_old_list_and_the_error_names_it(tmp_path, tiny_files, suffix):
    path = tmp_path / f"sections{suffix}"
    write_sections([SECTION], path)
    many = [Span(f"wav/{number}.wav", "anna", number * 0.317, number * 0.317 + 1) for number in range(2000)]
    with tiny_files(4096), pytest.raises(EarmarkError, match=rf"sections\{suffix}"):
        write_sections(many, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert list(read_sections(path)) == [SECTION] if suffix == ".txt" else len(list(read_sections(path))) == 1
