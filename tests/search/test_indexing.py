import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.search import IndexSettings, Recording, indexing, open_archive, storage, update
from earmark.search.contents import read_contents


def known(path):
    """What an index holds: file → start of its sections and frames."""
    archive = open_archive(path)
    return {
        file.path: (segment.recording(number).sections.tolist(), segment.recording(number).frames.tolist())
        for segment in archive.segments
        for number, file in segment.kept_files()
    }


def segment_folders(path):
    return sorted(folder.name for folder in (path / "segments").iterdir())


def files_below(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture
def deaf(sum_encoder, monkeypatch):
    """The encoder, counting what it hears."""
    heard = []
    stream = type(sum_encoder).stream

    def counting(self):
        heard.append(1)
        return stream(self)

    monkeypatch.setattr(type(sum_encoder), "stream", counting)
    return heard


def test_only_what_is_new_is_heard(index, recordings, talks, sum_encoder, say, deaf):
    before = known(index)
    report = update(index, recordings, sum_encoder)
    assert (report.unchanged, report.embedded, deaf) == (6, 0, [])
    assert known(index) == before
    audio.write(talks / "new.wav", say("bow"))
    report = update(index, [*recordings, Recording(talks / "new.wav")], sum_encoder)
    assert (report.unchanged, report.embedded, len(deaf)) == (6, 1, 1)
    assert {**before, str(talks / "new.wav"): known(index)[str(talks / "new.wav")]} == known(index)


def test_in_steps_or_at_once_the_index_is_the_same(tmp_path, index, recordings, sum_encoder):
    for recording in recordings:
        update(tmp_path / "steps", [recording], sum_encoder)
    update(tmp_path / "small", recordings, sum_encoder, commit_s=0.1, threads=3)
    assert known(tmp_path / "steps") == known(index) == known(tmp_path / "small")
    # Small segments have been made one.
    assert len(segment_folders(tmp_path / "steps")) == len(segment_folders(tmp_path / "small")) == 1


def test_a_changed_file_is_heard_anew_and_a_touched_one_is_not(index, recordings, talks, sum_encoder, say, deaf):
    os.utime(talks / "1.wav", ns=(1, 1))
    audio.write(talks / "2.wav", say("bow"))
    report = update(index, recordings, sum_encoder)
    assert (report.unchanged, report.copied, report.embedded, len(deaf)) == (4, 1, 1, 1)
    assert len(known(index)) == 6
    assert update(index, recordings, sum_encoder).unchanged == 6


def test_a_moved_file_is_not_heard_anew_and_a_gone_one_is_forgotten(index, talks, sum_encoder, deaf):
    before = known(index)
    (talks / "0.wav").rename(talks / "zero.wav")
    (talks / "3.wav").unlink()
    recordings = [Recording(path) for path in sorted(talks.iterdir())]
    report = update(index, recordings, sum_encoder, folders=[talks])
    assert (report.copied, report.forgotten, deaf) == (1, 2, [])
    expected = {name: what for name, what in before.items() if not name.endswith(("0.wav", "3.wav"))}
    assert known(index) == {**expected, str(talks / "zero.wav"): before[str(talks / "0.wav")]}


def test_what_lies_outside_the_folder_is_not_forgotten(index, talks, tmp_path, sum_encoder):
    shutil.move(talks, tmp_path / "elsewhere")
    assert update(index, [], sum_encoder, folders=[tmp_path / "other"]).forgotten == 0
    assert update(index, [], sum_encoder).forgotten == 0
    assert len(known(index)) == 6
    assert update(index, [], sum_encoder, folders=[talks]).forgotten == 6
    assert known(index) == {}
    assert segment_folders(index) == []


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path, recordings, sum_encoder):
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").touch()
    bad = [Recording(tmp_path / name) for name in ("text.wav", "empty.wav", "absent.wav")]
    report = update(tmp_path / "index", [*bad, *recordings], sum_encoder)
    assert report.embedded == 6
    said = [failure.message for failure in report.failures]
    for name, message in zip(("text.wav", "empty.wav", "absent.wav"), said, strict=True):
        assert message.startswith(f"{tmp_path / name}: ")
        assert "\n" not in message


def test_a_silent_file_is_known_and_holds_nothing(tmp_path, sum_encoder):
    audio.write(tmp_path / "silent.wav", np.zeros(50_000))
    for _ in range(2):
        report = update(tmp_path / "index", [Recording(tmp_path / "silent.wav")], sum_encoder)
    assert report.unchanged == 1
    assert known(tmp_path / "index") == {str(tmp_path / "silent.wav"): ([], [])}


def test_stretches_of_a_file_are_all_that_is_kept(tmp_path, talks, sum_encoder):
    path = talks / "0.wav"
    both = [Recording(path, ((1.0, 1.6),)), Recording(path, ((1.8, 2.0),))]
    update(tmp_path / "index", both, sum_encoder, settings=IndexSettings(gate="none"))
    ((sections, _),) = known(tmp_path / "index").values()
    assert sections == [[25, 15], [45, 5]]
    assert update(tmp_path / "index", both, sum_encoder).unchanged == 1
    assert update(tmp_path / "index", [Recording(path)], sum_encoder).embedded == 1


def test_stretches_that_hold_nothing_are_told(tmp_path, talks, sum_encoder):
    path = talks / "0.wav"
    for stretch, told in {
        (100.0, 200.0): r"0\.wav: a clip begins at 100 s, but the recording ends at .* s; make the manifest",
        (1.0, 1.01): r"0\.wav: a clip of 10 ms at 1 s, shorter than a frame of 40 ms; take it off",
    }.items():
        report = update(tmp_path / "index", [Recording(path, (stretch,)), Recording(talks / "1.wav")], sum_encoder)
        assert re.search(told, report.failures[0].message)
        assert len(known(tmp_path / "index")) == 1


def test_a_disk_that_fills_leaves_the_index_as_it_was(index, talks, sum_encoder, say, monkeypatch):
    before, files = known(index), files_below(index)
    audio.write(talks / "new.wav", say("bow"))
    write = storage.write_array
    for allowed in (0, 1, 3, 5):
        left = [allowed]

        def full(path, array, left=left):
            left[0] -= 1
            if left[0] < 0:
                path.write_bytes(b"half a f")
                raise OSError(28, "No space left on device")
            write(path, array)

        monkeypatch.setattr("earmark.search.segments.write_array", full)
        with pytest.raises(EarmarkError, match=r"No space left on device.*free some space"):
            update(index, [Recording(talks / "new.wav")], sum_encoder)
        # The fifth array is of the merged segment: by then the recording has been committed.
        assert len(known(index)) == 6 + (allowed > 4)
        assert {**before, **known(index)} == known(index)
        assert allowed > 4 or files_below(index) == files
    monkeypatch.setattr("earmark.search.segments.write_array", write)
    assert update(index, [Recording(talks / "new.wav")], sum_encoder).unchanged == 1
    assert (len(known(index)), len(segment_folders(index))) == (7, 1)


def test_contents_that_cannot_be_written_leave_the_old_ones(index, talks, sum_encoder, say, monkeypatch):
    before = known(index)
    audio.write(talks / "new.wav", say("bow"))

    new_file = storage.new_file

    @contextmanager
    def full(path):
        with new_file(path) as file:
            yield file
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "new_file", full)
        with pytest.raises(EarmarkError, match="what was committed before is kept"):
            update(index, [Recording(talks / "new.wav")], sum_encoder)
    assert known(index) == before
    # The segment that belongs to nothing is swept away, and written again.
    assert update(index, [Recording(talks / "new.wav")], sum_encoder).embedded == 1
    assert len(segment_folders(index)) == 1


KILLED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import SumEncoder
from earmark.search import Recording, update

calls = []

def slowly(*call):
    calls.append(call)
    print(*call, flush=True)
    time.sleep(0.2)  # longer than commit_s
    if len(calls) == 4:
        sys.stdin.read()  # until killed

update(sys.argv[2], [Recording(path) for path in sorted(Path(sys.argv[3]).iterdir())], SumEncoder(),
       progress=slowly, commit_s=0.1)
"""


def test_a_killed_process_leaves_what_it_committed_and_another_goes_on(tmp_path, talks, recordings, sum_encoder, index):
    place = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parents[1]), str(place), str(talks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(4):
            assert process.stdout.readline()
        with pytest.raises(EarmarkError, match="another earmark index is writing there"):
            update(place, recordings, sum_encoder)
        process.kill()
    done = len(known(place))
    assert 1 <= done < 6
    (place / "segments" / ".partial-000009").mkdir()
    report = update(place, recordings, sum_encoder)
    assert (report.unchanged, report.embedded) == (done, 6 - done)
    assert known(place) == known(index)
    assert len(segment_folders(place)) == 1


def test_another_encoder_or_other_settings_are_refused(index, recordings, make_sum_encoder):
    before = files_below(index)
    with pytest.raises(InputError, match=r"was made by encoder 'sums' .*not by 'other'"):
        update(index, recordings, make_sum_encoder("other", "0" * 16))
    with pytest.raises(InputError, match=r"other settings \(gate\)"):
        update(index, recordings, make_sum_encoder(), settings=IndexSettings(gate="none"))
    assert files_below(index) == before


def test_a_place_that_holds_other_things_is_refused(recordings, talks, sum_encoder):
    with pytest.raises(InputError, match="holds other files"):
        update(talks, recordings, sum_encoder)
    with pytest.raises(InputError, match="a file, and an index is a folder"):
        update(talks / "0.wav", recordings, sum_encoder)
    assert not (talks / "segments").exists()


def test_an_index_that_says_nonsense_is_refused_with_a_cure(index, recordings, sum_encoder):
    contents = json.loads((index / "index.json").read_text())
    for broken in ("{", "[]", json.dumps({**contents, "encoder": {"name": "x"}}), json.dumps({**contents, "odd": 1})):
        (index / "index.json").write_text(broken)
        with pytest.raises(EarmarkError, match=r"index\.json: damaged .*index anew") as told:
            update(index, recordings, sum_encoder)
        assert "\n" not in str(told.value)
    (index / "index.json").write_text(json.dumps({**contents, "format": 99}))
    with pytest.raises(InputError, match="newer earmark"):
        update(index, recordings, sum_encoder)


def test_the_contents_say_who_made_them(index, sum_encoder):
    contents = read_contents(index)
    assert contents.encoder.fingerprint == sum_encoder.fingerprint
    assert {"earmark", "numpy"} <= set(contents.versions)
    assert contents.segments[0].files == 6


def test_dead_weight_is_thrown_out(index, talks, sum_encoder, monkeypatch):
    monkeypatch.setattr(indexing, "LARGEST_FRAMES", 10)  # nothing is small
    for name in ("0.wav", "1.wav"):
        (talks / name).unlink()
    update(index, [], sum_encoder, folders=[talks])
    assert read_contents(index).segments[0].removed == (0, 1)
    monkeypatch.setattr(indexing, "LARGEST_FRAMES", 100_000)
    update(index, [], sum_encoder)
    (entry,) = read_contents(index).segments
    assert (entry.files, entry.removed) == (4, ())


def test_progress_is_told_of_every_file(tmp_path, recordings, sum_encoder):
    told = []
    update(tmp_path / "index", recordings, sum_encoder, progress=lambda path, s: told.append((path, s)))
    assert [path for path, _ in told] == [recording.path for recording in recordings]
    assert all(duration_s == pytest.approx(4.0, abs=0.1) for _, duration_s in told)


def test_an_archive_that_is_open_outlives_a_merge(index, talks, sum_encoder, say):
    archive = open_archive(index)
    before = archive.segments[0].restore(0, 10)
    audio.write(talks / "new.wav", say("bow"))
    update(index, [Recording(talks / "new.wav")], sum_encoder)
    assert np.array_equal(archive.segments[0].restore(0, 10), before)


def test_an_index_that_a_merge_overtakes_is_read_again(index, monkeypatch):
    calls = []
    real = read_contents

    def overtaken(path):
        contents = real(path)
        calls.append(1)
        if len(calls) == 1:
            gone = contents.segments[0].model_copy(update={"name": "000077"})
            return contents.model_copy(update={"segments": (gone,)})
        return contents

    monkeypatch.setattr("earmark.search.searching.read_contents", overtaken)
    assert open_archive(index).file_count == 6
    assert len(calls) == 2
