import json
from pathlib import Path

import pytest

from earmark.core.checkpoint_log import CheckpointLog
from earmark.core.errors import EarmarkError

MADE_BY = {"aligner": "an aligner"}


def test_what_was_written_down_is_there_in_the_next_run(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "new" / "journal.jsonl", MADE_BY) as journal:
        journal.add("a", {"words": ["schön"]})
    with CheckpointLog(tmp_path / "new" / "journal.jsonl", MADE_BY) as journal:
        assert journal.done == {"a": {"words": ["schön"]}}
        journal.add("b", {"words": []})
    with CheckpointLog(tmp_path / "new" / "journal.jsonl", MADE_BY) as journal:
        assert list(journal.done) == ["a", "b"]


def test_a_record_is_on_the_disk_before_the_run_ends(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "journal.jsonl", MADE_BY) as journal:
        journal.add("a", {"words": []})
        lines = (tmp_path / "journal.jsonl").read_text().splitlines()
        assert json.loads(lines[1]) == {"key": "a", "words": []}


def test_a_line_that_was_cut_off_is_forgotten_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with CheckpointLog(path, MADE_BY) as journal:
        journal.add("a", {"words": ["one"]})
        journal.add("b", {"words": ["two"]})
    path.write_bytes(path.read_bytes()[:-9])
    with CheckpointLog(path, MADE_BY) as journal:
        assert list(journal.done) == ["a"]
        journal.add("c", {"words": ["three"]})
    with CheckpointLog(path, MADE_BY) as journal:
        assert journal.done == {"a": {"words": ["one"]}, "c": {"words": ["three"]}}


def test_a_journal_that_something_else_made_is_begun_anew(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "journal.jsonl", MADE_BY) as journal:
        journal.add("a", {})
    with CheckpointLog(tmp_path / "journal.jsonl", {"aligner": "another"}) as journal:
        assert journal.done == {}


def test_a_key_may_hold_what_unicode_calls_the_end_of_a_line(tmp_path: Path) -> None:
    keys = ["a\u2028b.wav", "a\x85b.wav", "a\x0cb.wav", "a\nb.wav"]
    with CheckpointLog(tmp_path / "journal.jsonl", MADE_BY) as journal:
        for key in keys:
            journal.add(key, {"sections": []})
    with CheckpointLog(tmp_path / "journal.jsonl", MADE_BY) as journal:
        assert list(journal.done) == keys


def test_a_full_disk_is_told_with_the_journal_and_what_was_written_before_is_kept(tmp_path: Path, tiny_files) -> None:
    path = tmp_path / "journal.jsonl"
    with CheckpointLog(path, MADE_BY) as journal:
        journal.add("a", {"words": ["one"]})
    with (
        tiny_files(200),
        pytest.raises(EarmarkError, match=r"journal\.jsonl: cannot be written .*make room"),
        CheckpointLog(path, MADE_BY) as journal,
    ):
        journal.add("b", {"words": ["two"] * 100})
    with CheckpointLog(path, MADE_BY) as journal:
        assert list(journal.done) == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
