"""Every list format is read and written without changing a byte; a new format is a record with columns."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import CLIPS, PAIRS, ClipPair, ListedClip
from earmark.data.lists.list_format import ListFormat, count, read_records, text, write_records
from earmark.data.lists.sections import SECTIONS
from earmark.data.lists.segment_pairs import SEGMENT_PAIRS, SegmentPair
from earmark.data.lists.segments import SEGMENTS, SpeechSegment
from earmark.data.lists.spans import Span
from earmark.data.lists.split_lists import UTTERANCES, Utterance

SECTION = Span("wav/a.wav", "anna", 0.5, 2.0)
UNKNOWN = Span("b.wav", "", 0.48000000000000004, 1.123456)

FORMATS: list[Any] = [
    (CLIPS, ListedClip("zoom_in", "my words/ä.wav"), "zoom_in my words/ä.wav"),
    (PAIRS, ClipPair(True, "a/1.wav", "b/2.wav"), "1 a/1.wav b/2.wav"),
    (UTTERANCES, Utterance("val", "Eartha Kitt/x/1.wav"), "2 Eartha Kitt/x/1.wav"),
    (SECTIONS, SECTION, "wav/a.wav anna 0.5 2.0"),
    (SEGMENTS, SpeechSegment(SECTION, 0.82, 1.14, "HH,AH"), "wav/a.wav anna 0.5 2.0 0.82 1.14 HH,AH"),
    (SEGMENTS, SpeechSegment(SECTION, 0.5, 0.66), "wav/a.wav anna 0.5 2.0 0.5 0.66 NOTRANS"),
    (SEGMENT_PAIRS, SegmentPair(SECTION, SECTION, 0.875), "wav/a.wav anna 0.5 2.0 wav/a.wav anna 0.5 2.0 0.875"),
    (SEGMENT_PAIRS, SegmentPair(SECTION, SECTION, 0.5, 7), "wav/a.wav anna 0.5 2.0 wav/a.wav anna 0.5 2.0 0.5 7"),
]


@pytest.mark.parametrize(("form", "record", "line"), FORMATS)
def test_a_record_is_one_line_and_is_read_back(form: Any, record: Any, line: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "list.txt"
    assert write_records([record, record], path, form) == 2
    assert path.read_bytes() == f"{line}\n{line}\n".encode()
    assert list(read_records(path, form)) == [record, record]


def test_times_are_written_with_six_decimals_and_unknown_speakers_as_a_dash() -> None:
    assert SECTIONS.format(UNKNOWN) == "b.wav - 0.48 1.123456"


def test_spaces_of_a_label_become_underscores() -> None:
    assert CLIPS.format(ListedClip("zoom in", "a.wav")) == "zoom_in a.wav"
    assert SEGMENTS.format(SpeechSegment(SECTION, 0.5, 0.9, "zoom in")).endswith(" zoom_in")


class Take(NamedTuple):
    path: str
    number: int


def test_a_new_format_is_a_record_and_its_columns(tmp_path: Path) -> None:
    takes = ListFormat(Take, (text("path"), count("number")), values=tuple)
    write_records([Take("a.wav", 3)], tmp_path / "takes", takes)
    assert list(read_records(tmp_path / "takes", takes)) == [Take("a.wav", 3)]
    with pytest.raises(InputError, match="number is '-1'"):
        takes.parse("a.wav -1")


def test_a_check_raises_with_file_and_line(tmp_path: Path) -> None:
    def check(clip: ListedClip, line_number: int) -> None:
        if line_number == 3:
            raise InputError(f"{clip.path} is wrong")

    (tmp_path / "list.txt").write_text("a 1.wav\n\nb 2.wav\n")
    with pytest.raises(InputError, match=r"list\.txt:3: 2\.wav"):
        list(read_records(tmp_path / "list.txt", CLIPS, check))


@pytest.mark.parametrize("record", [ListedClip("", "a.wav"), ListedClip("a", " a.wav"), ListedClip("a", "a\rb.wav")])
def test_a_value_that_one_line_cannot_hold_is_refused(record: ListedClip) -> None:
    with pytest.raises(InputError, match=r"label|path"):
        CLIPS.format(record)
