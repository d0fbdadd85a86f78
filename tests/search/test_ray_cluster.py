"""A Ray with two workers on this machine, shared by all tests here."""

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
from earmark.search import QueryTake, Recording, open_index, query_from_takes, search, update_index
from earmark.search.ray_cluster import RayExecutor, connected

# Not by `importorskip`: Ray decides at import whether it accepts connections from other machines.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs earmark[cluster]"),
    pytest.mark.filterwarnings("ignore:::ray"),
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="finds workers in /proc"),
]


@pytest.fixture(scope="module")
def two_workers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray itself
        with connected(RayExecutor("local", 2)) as ray:
            yield ray


@pytest.fixture(scope="module")
def base():
    return load_encoder("base")


def files_below(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def listening_addresses():
    """Hexadecimal addresses on which descendants of this process listen, from /proc/net."""
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
    """The files that a process has opened."""
    links = []
    for link in Path(f"/proc/{process}/fd").glob("*"):
        try:
            links.append(os.readlink(link))
        except OSError:
            continue
    return links


class Reaper(threading.Thread):
    """Kills the worker that reads a pipe, and replaces the pipe by a recording."""

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
def test_ray_listens_on_loopback_addresses_only():
    # 127.0.0.1, ::ffff:127.0.0.1 and ::1, as the kernel writes them
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert listening_addresses()
    assert listening_addresses() <= loopback


@pytest.mark.usefixtures("two_workers")
def test_the_index_equals_the_local_one_after_a_worker_was_killed(tmp_path, talks, recordings, take, base):
    whole = [*recordings, Recording(talks / "absent.wav")]
    here = update_index(tmp_path / "local.index", whole, base)
    # The worker that reads the pipe waits until it is killed.
    (talks / "2.wav").rename(tmp_path / "2.wav")
    os.mkfifo(talks / "2.wav")
    reaper = Reaper(talks / "2.wav", tmp_path / "2.wav")
    reaper.start()
    there = update_index(tmp_path / "ray.index", whole, base, executor=RayExecutor())
    reaper.join(10)
    assert len(reaper.killed) == 1
    assert there == here
    assert [failure.path for failure in there.failures] == [talks / "absent.wav"]
    assert files_below(tmp_path / "ray.index") == files_below(tmp_path / "local.index")
    query = query_from_takes("rise", [QueryTake(take)], base)
    found = [search(open_index(path), query, top=5) for path in (tmp_path / "ray.index", tmp_path / "local.index")]
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_the_command_indexes_on_ray(two_workers, tmp_path, talks):
    assert two_workers.is_initialized()
    (talks / "text.wav").write_text("no audio")
    runner = CliRunner()
    result = runner.invoke(
        app, ["index", str(talks), "--index", str(tmp_path / "i"), "--encoder", "base", "--ray", "local"]
    )
    assert result.exit_code == 2
    assert result.stdout.startswith("indexed 6 files")
    assert "1 failed" in result.stdout
    assert result.stderr.count("\n") == 1
    assert str(talks / "text.wav") in result.stderr
