import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.search import IndexSettings, Recording, open_index, update_index
from earmark.search.contents import read_contents


def indexed(path):
    """What an index holds: file → its regions and frames."""
    return {
        file.path: (segment.recording(number).regions.tolist(), segment.recording(number).frames.tolist())
        for segment in open_index(path).segments
        for number, file in segment.kept_files()
    }


def segment_folders(path):
    return sorted(folder.name for folder in (path / "segments").iterdir())


def files_below(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_only_new_recordings_are_embedded(index, recordings, talks, sum_encoder, say):
    before = indexed(index)
    report = update_index(index, recordings, sum_encoder)
    assert (report.unchanged, report.embedded) == (6, 0)
    assert indexed(index) == before
    audio.write(talks / "new.wav", say("bow"))
    report = update_index(index, [*recordings, Recording(talks / "new.wav")], sum_encoder)
    assert (report.unchanged, report.embedded) == (6, 1)
    assert {**before, str(talks / "new.wav"): indexed(index)[str(talks / "new.wav")]} == indexed(index)


def test_the_index_does_not_depend_on_the_number_of_updates_commits_and_threads(
    tmp_path, index, recordings, sum_encoder
):
    for recording in recordings:
        update_index(tmp_path / "steps", [recording], sum_encoder)
    update_index(tmp_path / "small", recordings, sum_encoder, commit_s=0.1, threads=3)
    assert indexed(tmp_path / "steps") == indexed(index) == indexed(tmp_path / "small")
    # Small segments are merged.
    assert len(segment_folders(tmp_path / "steps")) == len(segment_folders(tmp_path / "small")) == 1


def test_a_changed_file_is_embedded_again_and_a_touched_one_is_not(index, recordings, talks, sum_encoder, say):
    os.utime(talks / "1.wav", ns=(1, 1))
    audio.write(talks / "2.wav", say("bow"))
    report = update_index(index, recordings, sum_encoder)
    assert (report.unchanged, report.copied, report.embedded) == (4, 1, 1)
    assert len(indexed(index)) == 6
    assert update_index(index, recordings, sum_encoder).unchanged == 6


def test_a_renamed_file_is_not_embedded_again_and_a_missing_one_is_dropped(index, talks, sum_encoder):
    before = indexed(index)
    (talks / "0.wav").rename(talks / "zero.wav")
    (talks / "3.wav").unlink()
    recordings = [Recording(path) for path in sorted(talks.iterdir())]
    report = update_index(index, recordings, sum_encoder, folders=[talks])
    assert (report.embedded, report.copied, report.dropped) == (0, 1, 1)
    expected = {name: frames for name, frames in before.items() if not name.endswith(("0.wav", "3.wav"))}
    assert indexed(index) == {**expected, str(talks / "zero.wav"): before[str(talks / "0.wav")]}


def test_a_file_that_was_moved_to_another_folder_counts_once(index, talks, tmp_path, sum_encoder):
    shutil.move(talks, tmp_path / "moved")
    recordings = [Recording(path) for path in sorted((tmp_path / "moved").iterdir())]
    report = update_index(index, recordings, sum_encoder, folders=[tmp_path / "moved"])
    assert (report.embedded, report.copied, report.dropped) == (0, 6, 0)
    assert sorted(indexed(index)) == [str(recording.path) for recording in recordings]


def test_a_copy_counts_beside_the_original(index, talks, sum_encoder):
    shutil.copyfile(talks / "0.wav", talks / "copy.wav")
    report = update_index(index, [Recording(talks / "copy.wav")], sum_encoder)
    assert (report.embedded, report.copied) == (0, 1)
    assert {str(talks / "0.wav"), str(talks / "copy.wav")} < set(indexed(index))


def test_a_file_has_one_name_from_wherever_it_is_indexed(index, talks, tmp_path, sum_encoder, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert update_index(index, [Recording(Path("..", "talks", "0.wav"))], sum_encoder).unchanged == 1
    update_index(Path("new.index"), [Recording(Path("..", "talks", "0.wav"))], sum_encoder)
    assert list(indexed(Path("new.index"))) == [str(talks / "0.wav")]


def test_only_files_below_the_given_folders_are_dropped(index, talks, tmp_path, sum_encoder):
    shutil.move(talks, tmp_path / "elsewhere")
    assert update_index(index, [], sum_encoder, folders=[tmp_path / "other"]).dropped == 0
    assert update_index(index, [], sum_encoder).dropped == 0
    assert len(indexed(index)) == 6
    assert update_index(index, [], sum_encoder, folders=[talks]).dropped == 6
    assert indexed(index) == {}
    assert segment_folders(index) == []


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path, recordings, sum_encoder):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "empty.wav").touch()
    names = ("text.wav", "empty.wav", "absent.wav")
    report = update_index(
        tmp_path / "index", [*(Recording(tmp_path / name) for name in names), *recordings], sum_encoder
    )
    assert report.embedded == 6
    for name, failure in zip(names, report.failures, strict=True):
        assert failure.message.startswith(f"{tmp_path / name}: ")
        assert "\n" not in failure.message


def test_a_silent_file_is_in_the_index_without_frames(tmp_path, sum_encoder):
    audio.write(tmp_path / "silent.wav", np.zeros(50_000))
    for _ in range(2):
        report = update_index(tmp_path / "index", [Recording(tmp_path / "silent.wav")], sum_encoder)
    assert report.unchanged == 1
    assert indexed(tmp_path / "index") == {str(tmp_path / "silent.wav"): ([], [])}


def test_only_the_spans_of_a_file_are_indexed(tmp_path, talks, sum_encoder):
    path = talks / "0.wav"
    both = [Recording(path, ((1.0, 1.6),)), Recording(path, ((1.8, 2.0),))]
    update_index(tmp_path / "index", both, sum_encoder, settings=IndexSettings(energy_gate=False))
    ((regions, _),) = indexed(tmp_path / "index").values()
    assert regions == [[25, 15], [45, 5]]
    assert update_index(tmp_path / "index", both, sum_encoder).unchanged == 1
    assert update_index(tmp_path / "index", [Recording(path)], sum_encoder).embedded == 1


@pytest.mark.parametrize("span", [(100.0, 200.0), (1.0, 1.01)], ids=["after the end", "shorter than a frame"])
def test_a_span_without_frames_is_a_failure(tmp_path, talks, sum_encoder, span):
    recordings = [Recording(talks / "0.wav", (span,)), Recording(talks / "1.wav")]
    report = update_index(tmp_path / "index", recordings, sum_encoder)
    assert [failure.path for failure in report.failures] == [talks / "0.wav"]
    assert len(indexed(tmp_path / "index")) == 1


@pytest.mark.parametrize("size", [0, 100, 700])
def test_a_full_disk_leaves_the_index_as_it_was(size, index, talks, sum_encoder, say, full_disk):
    files = files_below(index)
    audio.write(talks / "new.wav", say("bow"))
    with full_disk(size), pytest.raises(EarmarkError, match="cannot be written"):
        update_index(index, [Recording(talks / "new.wav")], sum_encoder)
    assert files_below(index) == files
    assert update_index(index, [Recording(talks / "new.wav")], sum_encoder).embedded == 1
    assert (len(indexed(index)), len(segment_folders(index))) == (7, 1)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import SumEncoder
from earmark.search import Recording, update_index

calls = []

def slowly(*call):
    calls.append(call)
    print(*call, flush=True)
    if len(calls) == 5:
        sys.stdin.read()  # until killed

update_index(sys.argv[2], [Recording(path) for path in sorted(Path(sys.argv[3]).iterdir())], SumEncoder(),
             progress=slowly, commit_s=0.1)
"""


def test_the_next_update_continues_after_the_last_commit_of_a_killed_one(
    tmp_path, talks, recordings, sum_encoder, index
):
    path = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parents[1]), str(path), str(talks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(5):
            assert process.stdout.readline()
        with pytest.raises(EarmarkError, match="another process"):
            update_index(path, recordings, sum_encoder)
        process.kill()
    done = len(indexed(path))
    assert done == 3
    (path / "segments" / ".partial-000009").mkdir()  # of earmark 0.1
    (path / ".partial-index.json").touch()
    report = update_index(path, recordings, sum_encoder)
    assert (report.unchanged, report.embedded) == (done, 6 - done)
    assert indexed(path) == indexed(index)
    assert len(segment_folders(path)) == 1
    assert not list(path.rglob(".partial*"))


def test_another_encoder_or_other_settings_are_refused(index, recordings, make_sum_encoder):
    before = files_below(index)
    with pytest.raises(InputError, match="encoder"):
        update_index(index, recordings, make_sum_encoder("other", "0" * 16))
    with pytest.raises(InputError, match="energy_gate"):
        update_index(index, recordings, make_sum_encoder(), settings=IndexSettings(energy_gate=False))
    assert files_below(index) == before


def test_a_path_that_is_no_index_is_refused(recordings, talks, sum_encoder):
    with pytest.raises(InputError, match=r"but no index"):
        update_index(talks, recordings, sum_encoder)
    with pytest.raises(InputError, match=r"0\.wav"):
        update_index(talks / "0.wav", recordings, sum_encoder)
    assert not (talks / "segments").exists()


def test_a_damaged_or_newer_index_is_refused(index, recordings, sum_encoder):
    contents = json.loads((index / "index.json").read_text())
    for broken in ("{", "[]", json.dumps({**contents, "encoder": {"name": "x"}}), json.dumps({**contents, "odd": 1})):
        (index / "index.json").write_text(broken)
        with pytest.raises(InputError, match=r"index\.json: .*damaged") as caught:
            update_index(index, recordings, sum_encoder)
        assert "\n" not in str(caught.value)
    (index / "index.json").write_text(json.dumps({**contents, "format": 99}))
    with pytest.raises(InputError, match="newer earmark"):
        update_index(index, recordings, sum_encoder)


def test_the_contents_name_encoder_and_versions(index, sum_encoder):
    contents = read_contents(index)
    assert contents.encoder.fingerprint == sum_encoder.fingerprint
    assert {"earmark", "numpy"} <= set(contents.versions)
    assert contents.segments[0].files == 6


def test_dropped_files_are_removed_by_the_next_merge(index, talks, sum_encoder):
    for name in ("0.wav", "1.wav"):
        (talks / name).unlink()
    update_index(index, [], sum_encoder, folders=[talks], segment_frames=10)  # no segment is small
    assert read_contents(index).segments[0].removed == (0, 1)
    update_index(index, [], sum_encoder)
    (entry,) = read_contents(index).segments
    assert (entry.files, entry.removed) == (4, ())


def test_progress_counts_recordings(tmp_path, recordings, sum_encoder):
    calls = []
    update_index(tmp_path / "index", recordings, sum_encoder, progress=lambda *call: calls.append(call))
    assert [(done, total) for _, done, total in calls] == [(done, 6) for done in range(7)]
    assert {stage.split(" (")[0] for stage, _, _ in calls} == {"indexing"}


def test_an_open_index_can_be_read_after_a_merge(index, talks, sum_encoder, say):
    opened = open_index(index)
    before = opened.segments[0].dequantize(0, 10)
    audio.write(talks / "new.wav", say("bow"))
    update_index(index, [Recording(talks / "new.wav")], sum_encoder)
    assert np.array_equal(opened.segments[0].dequantize(0, 10), before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_index_that_is_merged_while_it_is_opened_is_read_again(index, tmp_path):
    file = index / "index.json"
    document = json.loads(file.read_text())
    document["segments"][0]["name"] = "000077"  # merged and deleted meanwhile
    file.rename(tmp_path / "merged.json")
    os.mkfifo(file)

    def answer():
        with file.open("w") as pipe:
            (tmp_path / "merged.json").replace(file)
            pipe.write(json.dumps(document))

    thread = threading.Thread(target=answer)
    thread.start()
    assert open_index(index).file_count == 6
    thread.join()


def test_an_index_of_format_1_is_read_and_updated(index, recordings, talks, sum_encoder, say):
    before = indexed(index)
    document = json.loads((index / "index.json").read_text())
    settings = document["settings"]
    settings["gate"] = "energy" if settings.pop("energy_gate") else "none"
    (index / "index.json").write_text(json.dumps({**document, "format": 1}))
    (files,) = index.glob("segments/*/files.json")
    entries = json.loads(files.read_text())
    files.write_text(json.dumps([{**entry, "stretches": entry.pop("spans")} for entry in entries]))
    assert indexed(index) == before
    audio.write(talks / "new.wav", say("bow"))
    report = update_index(index, [*recordings, Recording(talks / "new.wav")], sum_encoder, settings=IndexSettings())
    assert (report.unchanged, report.embedded) == (6, 1)
    assert json.loads((index / "index.json").read_text())["format"] == 2
