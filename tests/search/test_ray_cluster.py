"""A Ray of two workers on this machine; all tests here share it."""

import os
import signal
import threading
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earmark.cli import app
from earmark.models.encoder import load_encoder
from earmark.search import Recording, Take, open_archive, query_of, search, update
from earmark.search.ray_cluster import Cluster, connected

# Not by `importorskip`: Ray reads when it is imported whether it may listen to other machines.
pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs earmark[cluster]"),
    pytest.mark.filterwarnings("ignore:::ray"),
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks for workers below /proc"),
]


@pytest.fixture(scope="module")
def two_workers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Ray has to say about itself
        with connected(Cluster("local", 2)) as ray:
            yield ray


@pytest.fixture(scope="module")
def tiny():
    return load_encoder("tiny")


def files_below(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def listening_addresses():
    """Hexadecimal addresses on which processes that this one began listen, by /proc/net."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            if state == "0A":
                sockets[f"socket:[{inode}]"] = address.split(":")[0]
    return {sockets[link] for process in descendants(os.getpid()) for link in links_of(process) if link in sockets}


def descendants(process):
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, new = set(), {process}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in new} - found
    return found


def links_of(process):
    """What a process has opened."""
    links = []
    for link in Path(f"/proc/{process}/fd").glob("*"):
        try:
            links.append(os.readlink(link))
        except OSError:
            continue
    return links


class Reaper(threading.Thread):
    """Kills the worker that reads a pipe; then puts a recording in the place of the pipe."""

    def __init__(self, pipe, recording):
        super().__init__(daemon=True)
        self._pipe, self._recording = pipe, recording
        self.killed = []

    def run(self):
        until = time.monotonic() + 300
        while time.monotonic() < until and not self.killed:
            try:
                end = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                time.sleep(0.05)
                continue
            while time.monotonic() < until and not self.killed:
                readers = [one for one in descendants(os.getpid()) - {os.getpid()} if str(self._pipe) in links_of(one)]
                if readers:
                    os.replace(self._recording, self._pipe)
                    os.kill(readers[0], signal.SIGKILL)
                    self.killed = readers
            os.close(end)


@pytest.mark.usefixtures("two_workers")
def test_nothing_listens_to_other_machines():
    # 127.0.0.1, ::ffff:127.0.0.1 and ::1, as the kernel writes them
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert listening_addresses()
    assert listening_addresses() <= loopback


@pytest.mark.usefixtures("two_workers")
def test_a_killed_worker_costs_nothing_and_the_index_is_the_local_one(tmp_path, talks, recordings, take, tiny):
    whole = [*recordings, Recording(talks / "absent.wav")]
    here = update(tmp_path / "local.index", whole, tiny)
    # A worker that reads the pipe waits in the middle of its work until it is killed.
    (talks / "2.wav").rename(tmp_path / "2.wav")
    os.mkfifo(talks / "2.wav")
    reaper = Reaper(talks / "2.wav", tmp_path / "2.wav")
    reaper.start()
    told = []
    there = update(
        tmp_path / "ray.index", whole, tiny, crew=Cluster(), progress=lambda path, _duration_s: told.append(path)
    )
    reaper.join(10)
    assert len(reaper.killed) == 1
    assert there == here
    assert [failure.message for failure in there.failures] == [f"{talks / 'absent.wav'}: no such file"]
    assert told == [recording.path for recording in whole]
    assert files_below(tmp_path / "ray.index") == files_below(tmp_path / "local.index")
    query = query_of("rise", [Take(take)], tiny)
    found = [search(open_archive(place), query, top=5) for place in (tmp_path / "ray.index", tmp_path / "local.index")]
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_the_command_says_what_it_always_says(two_workers, tmp_path, talks):
    assert two_workers.is_initialized()
    (talks / "text.wav").write_text("no sound")
    runner = CliRunner()
    told = runner.invoke(
        app, ["index", str(talks), "--index", str(tmp_path / "i"), "--encoder", "tiny", "--ray", "local"]
    )
    assert told.exit_code == 2
    assert told.stdout.startswith("indexed 6 files, 0.01 h in ")
    assert "1 refused" in told.stdout
    assert told.stderr.count("\n") == 1
    assert told.stderr.startswith(f"error: {talks / 'text.wav'}: not sound that can be read")
