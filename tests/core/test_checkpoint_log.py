import json
from pathlib import Path

import pytest

from earmark.core.checkpoint_log import CheckpointLog
from earmark.core.errors import EarmarkError

MADE_BY = {"aligner": "an aligner"}


def test_the_next_run_reads_the_records(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "new" / "log.jsonl", MADE_BY) as log:
        log.add("a", {"words": ["schön"]})
    with CheckpointLog(tmp_path / "new" / "log.jsonl", MADE_BY) as log:
        assert log.done == {"a": {"words": ["schön"]}}
        log.add("b", {"words": []})
    with CheckpointLog(tmp_path / "new" / "log.jsonl", MADE_BY) as log:
        assert list(log.done) == ["a", "b"]


def test_a_record_is_on_the_disk_before_the_run_ends(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "log.jsonl", MADE_BY) as log:
        log.add("a", {"words": []})
        lines = (tmp_path / "log.jsonl").read_text().splitlines()
        assert json.loads(lines[1]) == {"key": "a", "words": []}


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with CheckpointLog(path, MADE_BY) as log:
        log.add("a", {"words": ["one"]})
        log.add("b", {"words": ["two"]})
    path.write_bytes(path.read_bytes()[:-9])
    with CheckpointLog(path, MADE_BY) as log:
        assert list(log.done) == ["a"]
        log.add("c", {"words": ["three"]})
    with CheckpointLog(path, MADE_BY) as log:
        assert log.done == {"a": {"words": ["one"]}, "c": {"words": ["three"]}}


def test_a_log_with_other_settings_starts_from_scratch(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "log.jsonl", MADE_BY) as log:
        log.add("a", {})
    with CheckpointLog(tmp_path / "log.jsonl", {"aligner": "another"}) as log:
        assert log.done == {}


def test_a_key_may_contain_unicode_line_separators(tmp_path: Path) -> None:
    keys = ["a\u2028b.wav", "a\x85b.wav", "a\x0cb.wav", "a\nb.wav"]
    with CheckpointLog(tmp_path / "log.jsonl", MADE_BY) as log:
        for key in keys:
            log.add(key, {"sections": []})
    with CheckpointLog(tmp_path / "log.jsonl", MADE_BY) as log:
        assert list(log.done) == keys


def test_a_full_disk_keeps_earlier_records_and_the_error_names_the_log(tmp_path: Path, tiny_files) -> None:
    path = tmp_path / "log.jsonl"
    with CheckpointLog(path, MADE_BY) as log:
        log.add("a", {"words": ["one"]})
    with (
        tiny_files(200),
        pytest.raises(EarmarkError, match=r"log\.jsonl"),
        CheckpointLog(path, MADE_BY) as log,
    ):
        log.add("b", {"words": ["two"] * 100})
    with CheckpointLog(path, MADE_BY) as log:
        assert list(log.done) == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
