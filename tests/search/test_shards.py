"""Sharing recordings out, and what workers do, without Ray."""

import json
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from earmark.core.audio import AudioWarning
from earmark.core.errors import EarmarkError, InputError
from earmark.models.encoder import load_encoder
from earmark.search import IndexSettings, Recording, shards, update
from earmark.search import ray_cluster as cluster
from earmark.search.contents import read_contents
from earmark.search.embedding import Failure
from earmark.search.ray_cluster import Cluster

parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def tiny():
    return load_encoder("tiny")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "cluster.index").mkdir()
    return tmp_path / "cluster.index"


@pytest.fixture
def local(tmp_path, recordings, tiny):
    """The index that threads of one process make."""
    update(tmp_path / "local.index", recordings, tiny)
    return tmp_path / "local.index"


class LostWorkerError(Exception):
    """As Ray's."""


@pytest.fixture
def workers(monkeypatch):
    """Stand-ins for Ray and its workers: shards are embedded one by one, the last one first."""
    monkeypatch.setattr(cluster, "find_spec", lambda _package: True)
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0}, exceptions=SimpleNamespace(RayError=LostWorkerError))
    monkeypatch.setattr(cluster, "connected", lambda _cluster: nullcontext(ray))
    told = SimpleNamespace(shards=[], lives=None)

    def batches(_ray, paths, workers):
        assert workers == 2
        for path in reversed(paths):
            if told.lives is not None and len(told.shards) >= told.lives:
                raise LostWorkerError("a worker died\n\nThe above exception was the direct cause of that\nmore")
            told.shards.append(path)
            yield cluster._work({"shard": np.array([str(path)])}).to_pylist()

    monkeypatch.setattr(cluster, "_batches", batches)
    return told


@pytest.fixture
def embeddings(monkeypatch):
    """Counts what the encoder hears."""
    heard = []
    embed = shards.embed_batch

    def counting(recordings, encoder, settings):
        heard.extend(recording.path for recording in recordings)
        return embed(recordings, encoder, settings)

    monkeypatch.setattr(shards, "embed_batch", counting)
    return heard


def files_below(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def shared_out(place, recordings, tiny, workers=1):
    return shards.write_job(place, tiny, IndexSettings(), recordings, workers)


def test_the_index_is_that_of_the_local_path_byte_for_byte(place, recordings, tiny, local, workers):
    report = update(place, recordings, tiny, crew=Cluster())
    assert (report.embedded, report.failures) == (6, [])
    assert len(workers.shards) > 2
    assert files_below(place) == files_below(local)
    assert update(place, recordings, tiny, crew=Cluster()).unchanged == 6
    assert not (place / "cluster").exists()


def test_what_is_new_changed_or_moved_is_treated_as_on_the_local_path(place, recordings, talks, tiny, workers):
    update(place, recordings, tiny, crew=Cluster())
    workers.shards.clear()
    (talks / "0.wav").rename(talks / "zero.wav")
    (talks / "1.wav").write_bytes((talks / "2.wav").read_bytes()[:-6400])
    found = [Recording(path) for path in sorted(talks.iterdir())]
    with pytest.warns(AudioWarning, match=r"1\.wav: cut off; only its first 3\.80 s can be read"):
        report = update(place, found, tiny, crew=Cluster(), folders=[talks])
    assert (report.embedded, report.copied, report.unchanged, report.forgotten) == (1, 1, 4, 1)
    assert len(workers.shards) == 1


@pytest.mark.usefixtures("workers")
def test_refusals_are_those_of_the_local_path(place, recordings, tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.wav").write_text("no sound")
    Path("empty.wav").touch()
    bad = [Recording(Path(name)) for name in ("text.wav", "empty.wav", "absent.wav", "talks")]
    mixed = [bad[0], *recordings[:3], *bad[1:], *recordings[3:]]
    here = update(tmp_path / "local.index", mixed, tiny)
    there = update(place, mixed, tiny, crew=Cluster())
    assert there == here
    assert [failure.path.name for failure in there.failures] == ["text.wav", "empty.wav", "absent.wav", "talks"]
    assert files_below(place) == files_below(tmp_path / "local.index")
    assert update(place, bad, tiny, crew=Cluster()).failures == here.failures


def test_a_job_that_broke_off_is_gone_on_with(place, recordings, tiny, local, workers, embeddings):
    workers.lives = 2
    with pytest.raises(EarmarkError, match=r"local: the Ray job ended \(a worker died\); what was embedded is kept"):
        update(place, recordings, tiny, crew=Cluster())
    done = len(embeddings)
    assert 0 < done < 6
    assert read_contents(place).segments == ()
    workers.lives = None
    report = update(place, recordings, tiny, crew=Cluster())
    # They count as embedded: this index has not had them before.
    assert (report.embedded, report.copied, len(embeddings)) == (6, 0, 6)
    assert files_below(place) == files_below(local)


def test_what_a_cluster_began_threads_can_end(place, recordings, talks, tiny, workers):
    workers.lives = 2
    with pytest.raises(EarmarkError):
        update(place, recordings, tiny, crew=Cluster())
    kept = len(list((place / "cluster" / "embedded").glob("*/files.json")))
    assert kept == 2
    # One that has changed meanwhile is embedded anew.
    os.utime(talks / "5.wav", ns=(1, 1))
    assert update(place, recordings, tiny).embedded == 6
    assert not (place / "cluster").exists()


def test_a_shard_is_not_embedded_twice(place, recordings, tiny, embeddings):
    (shard,) = shared_out(place, recordings[:1], tiny)
    first = shards.embed_shard(shard)
    assert shards.embed_shard(shard) == first
    assert embeddings == [recordings[0].path]
    (answer,) = first
    assert (answer.path, answer.message) == (str(recordings[0].path), "")
    told = json.loads((shards.stored(place, answer) / "files.json").read_bytes())
    assert told[answer.number]["path"] == answer.path


def test_a_worker_that_outlives_an_index_hears_by_the_encoder_of_the_next_one_there(
    place, recordings, tiny, monkeypatch
):
    heard = []
    monkeypatch.setattr(
        shards, "embed_batch", lambda given, encoder, _: heard.append(encoder.name) or [Failure(given[0].path, "no")]
    )
    for encoder in (tiny, load_encoder("base")):
        (shard,) = shared_out(place, recordings[:1], encoder)
        shards.embed_shard(shard)
        shards.clear_job(place, is_done=True)
    assert heard == ["tiny", "base"]


def test_a_worker_that_was_thought_dead_does_no_harm(place, recordings, tiny, monkeypatch):
    (shard,) = shared_out(place, recordings[:1], tiny)
    answers = shards._answers
    found = []
    for _ in range(2):
        asked = []

        def late(job, name, asked=asked):
            # When a worker begins, the other one has not written yet.
            asked.append(name)
            return answers(job, name) if len(asked) > 1 else {}

        monkeypatch.setattr(shards, "_answers", late)
        found.append(shards.embed_shard(shard))
    first, second = found
    assert first == second
    assert [path.name for path in (place / "cluster" / "embedded").iterdir()] == [first[0].shard]


@pytest.mark.usefixtures("workers")
def test_a_disk_that_fills_under_a_worker_is_told_as_on_the_local_path(place, recordings, tiny, monkeypatch):
    def full(_path, _array):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("earmark.search.segments.write_array", full)
        with pytest.raises(EarmarkError, match=r"No space left on device.*free some space"):
            update(place, recordings, tiny, crew=Cluster())
    assert list((place / "cluster" / "embedded").iterdir()) == []
    assert update(place, recordings, tiny, crew=Cluster()).embedded == 6


def test_a_recording_that_kills_every_worker_is_named_at_last(place, recordings, tiny, monkeypatch):
    (shard,) = shared_out(place, recordings[:1], tiny)
    marks = place / "cluster" / "embedded"

    def die(*_):
        raise SystemExit  # no worker that is killed cleans up

    with monkeypatch.context() as patch:
        patch.setattr(shards, "embed_batch", die)
        patch.setattr(Path, "unlink", lambda *_args, **_how: None)
        for _ in range(shards.MOST_ATTEMPTS):
            with pytest.raises(SystemExit):
                shards.embed_shard(shard)
    assert len(list(marks.iterdir())) == shards.MOST_ATTEMPTS
    with pytest.raises(EarmarkError, match=r"0\.wav: 10 workers died of it"):
        shards.embed_shard(shard)
    # The next job gives it another chance.
    shards.clear_job(place)
    assert list(marks.iterdir()) == []


def test_every_worker_gets_several_shards_and_none_is_large(place, recordings, tiny, monkeypatch):
    assert len(shared_out(place, recordings, tiny, workers=1)) == 6
    monkeypatch.setattr(shards, "MOST_RECORDINGS", 4)
    monkeypatch.setattr(shards, "LARGEST_BYTES", 10**9)
    gone = [Recording(place / f"{number}.wav") for number in range(10)]
    paths = shared_out(place, gone, tiny)
    tables = [parquet.read_table(path) for path in paths]
    assert [table.num_rows for table in tables] == [4, 4, 2]
    assert tables[0].column_names == ["path", "size", "mtime_ns", "stretches"]


@pytest.mark.usefixtures("workers")
def test_stretches_go_with_a_recording(place, talks, tiny, tmp_path):
    both = [Recording(talks / "0.wav", ((1.0, 1.6),)), Recording(talks / "0.wav", ((1.8, 2.0),))]
    for path, crew in ((place, Cluster()), (tmp_path / "local.index", None)):
        update(path, both, tiny, crew=crew, settings=IndexSettings(gate="none"))
    assert files_below(place) == files_below(tmp_path / "local.index")
    assert update(place, both, tiny).unchanged == 1


def test_another_earmark_on_a_worker_is_told(place, recordings, tiny, monkeypatch):
    (shard,) = shared_out(place, recordings[:1], tiny)
    monkeypatch.setattr(shards, "__version__", "0.0.1")
    with pytest.raises(EarmarkError, match=r"this worker has earmark 0\.0\.1.*install the same on all machines"):
        shards.embed_shard(shard)


def test_what_a_worker_cannot_see_is_told_with_the_cure(place, recordings):
    with pytest.raises(EarmarkError, match="have to lie where all machines see them"):
        shards.embed_shard(place / "cluster" / "recordings" / "000000.parquet")
    path = recordings[0].path
    assert "where all machines see them" in cluster._as_here(f"{path}: no such file", path)
    assert cluster._as_here(f"{path}x: no such file", Path(f"{path}x")) == f"{path}x: no such file"


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda package: None if package == "ray" else True)
    with pytest.raises(InputError, match=r'^ray: not installed; run: pip install "earmark\[cluster\]"$'):
        Cluster()
