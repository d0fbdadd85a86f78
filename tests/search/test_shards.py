"""Shards and the work of workers, without Ray."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from earmark.core.audio import AudioWarning
from earmark.core.errors import EarmarkError, InputError
from earmark.models.encoder import load_encoder
from earmark.search import IndexSettings, Recording, shards, update_index
from earmark.search.contents import read_contents
from earmark.search.ray_cluster import RayExecutor
from earmark.search.segments import open_segment, read_files

parquet = pytest.importorskip("pyarrow.parquet")


class LocalExecutor:
    """Embeds shards one by one in this process, the last one first; the worker is lost after `lives` shards."""

    def __init__(self, lives=None):
        self.lives, self.shards, self.recordings = lives, [], []

    def embed(self, recordings, encoder, settings, index):
        self.recordings += recordings
        return shards.embed_in_shards(recordings, encoder, settings, index, workers=2, run=self._run)

    def _run(self, paths):
        for path in reversed(paths):
            if self.lives is not None and len(self.shards) >= self.lives:
                raise EarmarkError("worker lost")
            self.shards.append(path)
            yield from shards.embed_shard(path)


@pytest.fixture(scope="module")
def base():
    return load_encoder("base")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "cluster.index").mkdir()
    return tmp_path / "cluster.index"


@pytest.fixture
def local(tmp_path, recordings, base):
    """The index that threads of one process make."""
    update_index(tmp_path / "local.index", recordings, base)
    return tmp_path / "local.index"


def files_below(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def write_job(path, recordings, encoder, **limits):
    return shards.write_job(path, encoder, IndexSettings(), recordings, 1, **limits)


def embedded(path):
    """Modification times of the frames that workers wrote."""
    return {file: file.stat().st_mtime_ns for file in (path / "cluster" / "embedded").glob("*/frames.npy")}


def test_the_index_equals_the_local_one_byte_for_byte(path, recordings, base, local):
    executor = LocalExecutor()
    report = update_index(path, recordings, base, executor=executor)
    assert (report.embedded, report.failures) == (6, [])
    assert len(executor.shards) > 2
    assert files_below(path) == files_below(local)
    assert update_index(path, recordings, base, executor=executor).unchanged == 6
    assert not (path / "cluster").exists()


def test_only_new_and_changed_recordings_are_embedded(path, recordings, talks, base):
    update_index(path, recordings, base, executor=LocalExecutor())
    (talks / "0.wav").rename(talks / "zero.wav")
    (talks / "1.wav").write_bytes((talks / "2.wav").read_bytes()[:-6400])
    found = [Recording(path) for path in sorted(talks.iterdir())]
    executor = LocalExecutor()
    with pytest.warns(AudioWarning, match=r"1\.wav: truncated"):
        report = update_index(path, found, base, executor=executor, folders=[talks])
    assert (report.embedded, report.copied, report.unchanged, report.dropped) == (1, 1, 4, 0)
    assert len(executor.shards) == 1


def test_failures_are_those_of_the_local_executor(path, recordings, tmp_path, base, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.wav").write_text("no audio")
    Path("empty.wav").touch()
    bad = [Recording(Path(name)) for name in ("text.wav", "empty.wav", "absent.wav", "talks")]
    mixed = [bad[0], *recordings[:3], *bad[1:], *recordings[3:]]
    here = update_index(tmp_path / "local.index", mixed, base)
    there = update_index(path, mixed, base, executor=LocalExecutor())
    assert there == here
    assert [failure.path.name for failure in there.failures] == ["text.wav", "empty.wav", "absent.wav", "talks"]
    assert files_below(path) == files_below(tmp_path / "local.index")
    assert update_index(path, bad, base, executor=LocalExecutor()).failures == here.failures


def test_a_job_that_stopped_is_continued(path, recordings, base, local):
    with pytest.raises(EarmarkError, match="worker lost"):
        update_index(path, recordings, base, executor=LocalExecutor(lives=2))
    assert len(embedded(path)) == 2
    assert read_contents(path).segments == ()
    executor = LocalExecutor()
    report = update_index(path, recordings, base, executor=executor)
    # All count as embedded: the index did not hold them before.
    assert (report.embedded, report.copied) == (6, 0)
    assert len(executor.recordings) == 4
    assert files_below(path) == files_below(local)


def test_threads_continue_the_job_of_a_cluster(path, recordings, talks, base):
    with pytest.raises(EarmarkError):
        update_index(path, recordings, base, executor=LocalExecutor(lives=2))
    assert len(embedded(path)) == 2
    os.utime(talks / "5.wav", ns=(1, 1))  # changed since then
    assert update_index(path, recordings, base).embedded == 6
    assert not (path / "cluster").exists()


def test_a_shard_is_embedded_once(path, recordings, base):
    (shard,) = write_job(path, recordings[:1], base)
    (result,) = shards.embed_shard(shard)
    before = embedded(path)
    assert shards.embed_shard(shard) == [result]
    assert embedded(path) == before
    assert (result.path, result.message) == (str(recordings[0].path), "")
    assert read_files(shards.segment_folder(path, result))[result.number].path == result.path


def test_a_worker_loads_the_encoder_of_each_job(path, recordings, base, own_encoder):
    for encoder in (base, own_encoder):
        (shard,) = write_job(path, recordings[:1], encoder)
        (result,) = shards.embed_shard(shard)
        segment = open_segment(shards.segment_folder(path, result), width=encoder.dimension)
        assert segment.frames.shape[1] == encoder.dimension
        shards.remove_job(path, keep_frames=False)


def test_two_workers_may_embed_the_same_shard(path, recordings, base):
    (shard,) = write_job(path, recordings[:1], base)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(shards.embed_shard, [shard, shard])
    assert first == second
    assert [folder.name for folder in (path / "cluster" / "embedded").iterdir()] == [first[0].segment]


def test_a_full_disk_leaves_no_frames_of_a_shard(path, recordings, base, full_disk):
    shard, *_ = write_job(path, recordings, base)
    with full_disk(700), pytest.raises(EarmarkError, match="cannot be written"):
        shards.embed_shard(shard)
    assert list((path / "cluster" / "embedded").iterdir()) == []
    (result,) = shards.embed_shard(shard)
    assert result.segment


WORKER = """
import sys
from pathlib import Path
from earmark.search.shards import embed_shard
embed_shard(Path(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_shard_that_kills_workers_stops_the_job(path, talks, base):
    os.mkfifo(talks / "pipe.wav")  # its reader waits until it is killed
    (shard,) = write_job(path, [Recording(talks / "pipe.wav")], base)
    folder = path / "cluster" / "embedded"
    with subprocess.Popen([sys.executable, "-c", WORKER, str(shard)]) as worker:
        until = time.monotonic() + 60
        while not list(folder.iterdir()) and time.monotonic() < until:
            time.sleep(0.05)
        worker.send_signal(signal.SIGKILL)
    assert len(list(folder.iterdir())) == 1
    with pytest.raises(EarmarkError, match=r"pipe\.wav: 1 workers died"):
        shards.embed_shard(shard, most_attempts=1)
    shards.remove_job(path, keep_frames=True)  # the next job tries again
    assert list(folder.iterdir()) == []


def test_shards_are_limited_in_size_and_several_per_worker(path, recordings, base):
    assert len(write_job(path, recordings, base)) == 6
    missing = [Recording(path / f"{number}.wav") for number in range(10)]
    tables = [parquet.read_table(shard) for shard in write_job(path, missing, base, most_recordings=4)]
    assert [table.num_rows for table in tables] == [4, 4, 2]
    assert tables[0].column_names == ["path", "size", "mtime_ns", "spans"]


def test_spans_are_part_of_a_shard(path, talks, base, tmp_path):
    both = [Recording(talks / "0.wav", ((1.0, 1.6),)), Recording(talks / "0.wav", ((1.8, 2.0),))]
    for index, executor in ((path, LocalExecutor()), (tmp_path / "local.index", None)):
        update_index(index, both, base, executor=executor, settings=IndexSettings(energy_gate=False))
    assert files_below(path) == files_below(tmp_path / "local.index")
    assert update_index(path, both, base).unchanged == 1


def test_a_worker_of_another_version_refuses_the_job(path, recordings, base):
    (shard,) = write_job(path, recordings[:1], base)
    job = path / "cluster" / "job.json"
    job.write_text(json.dumps({**json.loads(job.read_text()), "version": "0.0.1"}))
    with pytest.raises(EarmarkError, match=r"earmark 0\.0\.1"):
        shards.embed_shard(shard)


def test_a_shard_that_a_worker_cannot_see_is_an_error(path):
    with pytest.raises(EarmarkError, match=r"000000\.parquet"):
        shards.embed_shard(path / "cluster" / "recordings" / "000000.parquet")


def test_a_recording_that_a_worker_cannot_see_is_a_failure_with_its_own_cure(path, recordings, base):
    def run(_shards):
        yield shards.ShardResult(str(recordings[0].path), message=f"{recordings[0].path}: no such file")

    (failure,) = shards.embed_in_shards(recordings[:1], base, IndexSettings(), path, workers=1, run=run)
    assert "same path" in failure.message


def test_ray_that_is_not_installed_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"^ray: .*'cluster'"):
        RayExecutor()
