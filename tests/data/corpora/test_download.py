import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from earmark.core.errors import EarmarkError, InputError
from earmark.core.files import DRAFT
from earmark.data.corpora.download import RemoteArchive, download, fetch, unpack


class Server(ThreadingHTTPServer):
    """A server of one file, with the faults that a test sets."""

    block_on_close = False

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.requests: list[str | None] = []  # requested ranges
        self.cuts: list[int] = []  # number of bytes after which each of the next answers ends
        self.statuses: list[int] = []  # status of each of the next answers, in place of the file
        self.sends_parts = True
        self.says_length = True

    def archive(self, **changes: object) -> RemoteArchive:
        values: dict[str, object] = {
            "url": f"http://127.0.0.1:{self.server_port}/data/words.tar.gz",
            "sha256": hashlib.sha256(self.body).hexdigest(),
            "size": len(self.body),
        }
        return RemoteArchive(**{**values, **changes})  # type: ignore[arg-type]

    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        body = self.server.body
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.sends_parts else 0
        if self.server.statuses:
            self.send_error(self.server.statuses.pop(0))
            return
        if begin >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        if self.server.says_length:
            self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(body)
        self.wfile.write(body[begin : begin + cut])

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Server]]:
    servers: list[Server] = []

    def start(body: bytes) -> Server:
        server = Server(body)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def tar_gz(**files: bytes | None) -> bytes:
    """An archive of files; in a name, `__` is a slash, and the content None makes a link to ../outside."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "../outside"
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    return packed.getvalue()


BODY = bytes(range(256)) * 20_000  # five blocks


def test_a_file_arrives_whole_and_progress_ends_at_its_size(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    server, calls = serve(BODY), []
    path = download(server.archive(), tmp_path / "new", progress=lambda *call: calls.append(call))
    assert path == tmp_path / "new" / "words.tar.gz"
    assert path.read_bytes() == BODY
    assert [call for call in calls if call[0] == "downloading"][-1] == ("downloading", len(BODY), len(BODY))
    assert calls[-1] == ("checking", len(BODY), len(BODY))
    assert [entry.name for entry in path.parent.iterdir()] == ["words.tar.gz"]


def test_a_broken_transfer_is_resumed(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    server = serve(BODY)
    server.cuts = [1_500_000, 7, 0, 100_000]
    assert download(server.archive(), tmp_path, wait_s=0).read_bytes() == BODY
    assert server.requests == [None, "bytes=1500000-", *["bytes=1500007-"] * 2, "bytes=1600007-"]


def test_a_later_call_resumes_an_earlier_download(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    server = serve(BODY)
    server.cuts = [2_000_000, 0, 0]
    with pytest.raises(EarmarkError, match=r"words\.tar\.gz"):
        download(server.archive(), tmp_path, attempts=2, wait_s=0)
    assert (tmp_path / "words.tar.gz.partial").stat().st_size == 2_000_000
    assert download(server.archive(), tmp_path).read_bytes() == BODY
    assert server.requests[-1] == "bytes=2000000-"


def test_a_server_that_cannot_send_parts_sends_all_again(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    server = serve(BODY)
    server.sends_parts = False
    (tmp_path / "words.tar.gz.partial").write_bytes(BODY[:1000])
    assert download(server.archive(), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_partial_file_that_is_complete_is_only_checked(
    tmp_path: Path, serve: Callable[[bytes], Server], size: int | None
) -> None:
    server = serve(BODY)
    (tmp_path / "words.tar.gz.partial").write_bytes(BODY)
    assert download(server.archive(size=size), tmp_path).read_bytes() == BODY
    assert server.requests == ([] if size else [f"bytes={len(BODY)}-"])


def test_the_checksum_suffices_if_the_server_gives_no_length(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    server = serve(BODY)
    server.says_length = False
    assert download(server.archive(size=None), tmp_path).read_bytes() == BODY


def test_a_file_with_a_wrong_checksum_is_removed(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    archive = serve(BODY).archive(sha256="0" * 64)
    found = hashlib.sha256(BODY).hexdigest()
    with pytest.raises(EarmarkError, match=found):
        download(archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_refused_before_it_is_transferred(
    tmp_path: Path, serve: Callable[[bytes], Server]
) -> None:
    archive = serve(BODY).archive(size=2_428_923_189)
    with pytest.raises(EarmarkError, match=r"5,120,000 bytes"):
        download(archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(
    tmp_path: Path, serve: Callable[[bytes], Server]
) -> None:
    server = serve(BODY)
    server.statuses = [503, 429]
    assert download(server.archive(), tmp_path, wait_s=0).read_bytes() == BODY
    server.statuses = [404]
    with pytest.raises(EarmarkError, match="404"):
        download(server.archive(), tmp_path / "other")
    assert len(server.requests) == 4


def test_the_error_names_a_server_that_does_not_answer(tmp_path: Path) -> None:
    archive = RemoteArchive("http://127.0.0.1:9/words.tar.gz", sha256="0" * 64)
    with pytest.raises(EarmarkError, match=r"words\.tar\.gz"):
        download(archive, tmp_path, attempts=1, wait_s=0)


def test_an_existing_file_is_checked_and_not_requested(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    server = serve(BODY)
    (tmp_path / "words.tar.gz").write_bytes(BODY)
    assert download(server.archive(), tmp_path) == tmp_path / "words.tar.gz"
    (tmp_path / "words.tar.gz").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"words\.tar\.gz: SHA-256"):
        download(server.archive(), tmp_path)
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "sha256", "key"),
    [
        ("file:///etc/passwd", "0" * 64, "url"),
        ("https://host/a.tar.gz", "abc", "sha256"),
        ("https://host/a.tar.gz", "G" * 64, "sha256"),
    ],
)
def test_a_wrong_address_or_checksum_is_refused(url: str, sha256: str, key: str) -> None:
    with pytest.raises(InputError, match=key):
        RemoteArchive(url, sha256)


def test_an_unpacked_archive_is_not_downloaded_again(tmp_path: Path, serve: Callable[[bytes], Server]) -> None:
    server = serve(tar_gz(a_list__txt=b"x", yes__a=b"1", yes__b=b"2"))
    assert fetch(server.archive(), tmp_path, last="a_list")
    assert (tmp_path / "yes" / "b").read_bytes() == b"2"
    assert not fetch(server.archive(), tmp_path, last="a_list")
    assert len(server.requests) == 1


def test_a_folder_with_other_folders_is_refused_before_anything_is_downloaded(
    tmp_path: Path, serve: Callable[[bytes], Server]
) -> None:
    server = serve(tar_gz(yes__a=b"1"))
    (tmp_path / "holiday").mkdir()
    with pytest.raises(InputError, match="holiday"):
        fetch(server.archive(), tmp_path, last="yes")
    assert server.requests == []


def test_the_last_entry_is_put_in_place_after_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar_gz(alist=b"", no__a=b"", yes__a=b""))
    moved: list[str] = []
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        moved.append(path.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    unpack(tmp_path / "a.tar.gz", tmp_path, last="alist")
    assert moved == ["no", "yes", "alist"]


@pytest.mark.parametrize(
    "files", [{"yes__a": b"1", "..__stolen": b"2"}, {"yes__a": b"1", "link": None}], ids=["path", "link"]
)
def test_nothing_is_unpacked_out_of_the_folder(tmp_path: Path, files: dict[str, bytes | None]) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.tar.gz").write_bytes(tar_gz(**files))
    with pytest.raises(EarmarkError, match=r"a\.tar\.gz"):
        unpack(folder / "a.tar.gz", folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "corpus"]


@pytest.mark.parametrize("damage", [lambda packed: packed[:-200], lambda packed: b"no archive" + packed])
def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    noise = hashlib.shake_128(b"seed").digest(5000)
    (tmp_path / "a.tar.gz").write_bytes(damage(tar_gz(yes__a=b"1", yes__b=noise)))
    with pytest.raises(EarmarkError, match=r"a\.tar\.gz"):
        unpack(tmp_path / "a.tar.gz", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_files_of_the_user_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "yes").mkdir()
    (tmp_path / "a.tar.gz").write_bytes(tar_gz(no__a=b"1", yes__a=b"1"))
    with pytest.raises(InputError, match="yes"):
        unpack(tmp_path / "a.tar.gz", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "yes"]


def test_an_interrupted_unpacking_starts_from_scratch(tmp_path: Path) -> None:
    (tmp_path / f"{DRAFT}0123456789abcdef" / "new" / "yes").mkdir(parents=True)
    (tmp_path / f"{DRAFT}0123456789abcdef" / "new" / "yes" / "old").touch()
    (tmp_path / "a.tar.gz").write_bytes(tar_gz(yes__a=b"1"))
    unpack(tmp_path / "a.tar.gz", tmp_path)
    assert [path.name for path in (tmp_path / "yes").iterdir()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "yes"]
