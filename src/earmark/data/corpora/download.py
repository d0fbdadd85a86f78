"""Download an archive over HTTP, resume after interruptions, check it, and unpack it safely."""

import hashlib
import tarfile
import time
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from earmark.core.errors import EarmarkError, InputError
from earmark.core.files import scratch_folder
from earmark.core.progress import Progress, no_progress

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0
_RANGE_NOT_SATISFIABLE = 416
# Statuses after which another attempt may succeed.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RemoteArchive:
    """A .tar.gz on a server.

    Attributes:
        url: address of the file, http or https.
        sha256: SHA-256 of the file, 64 hexadecimal digits.
        size: size in bytes; None when unknown.
    """

    url: str
    sha256: str
    size: int | None = None

    def __post_init__(self) -> None:
        """Check that url and SHA-256 are well formed."""
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"url: {self.url} must begin with https:// or http://")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise InputError(f"sha256: {self.sha256!r} must be 64 hexadecimal digits in lower case")

    @property
    def name(self) -> str:
        """File name of the archive, from its url.

        >>> RemoteArchive("https://host/data/words.tar.gz?version=2", sha256="0" * 64).name
        'words.tar.gz'
        """
        return self.url.partition("?")[0].rpartition("/")[2]


def fetch(archive: RemoteArchive, folder: Path, *, last: str, progress: Progress = no_progress) -> bool:
    """Download an archive into a folder and unpack it there, unless that is done already.

    Args:
        archive: the archive.
        folder: folder to unpack into, created if missing; the archive is kept there too.
        last: file or folder of the archive that is moved into place last; if it exists, nothing is done.
        progress: called after each block.

    Returns:
        Whether anything was downloaded or unpacked.

    Raises:
        InputError: the folder already contains folders.
        EarmarkError: see `download` and `unpack`.
    """
    if (folder / last).exists():
        return False
    # This is checked before the download, which may take an hour.
    present = sorted(path for path in folder.glob("[!.]*") if path.is_dir())
    if present:
        raise InputError(f"{present[0]}: exists already; download {archive.name} into an empty folder")
    unpack(download(archive, folder, progress=progress), folder, last=last, progress=progress)
    return True


def download(
    archive: RemoteArchive, folder: Path, *, progress: Progress = no_progress, attempts: int = 5, wait_s: float = 2.0
) -> Path:
    """Download an archive into a folder.

    Received bytes are kept in `NAME.partial`; the next attempt, in this call or a later one, requests the rest.

    Args:
        archive: the archive.
        folder: folder of the downloaded file, created if missing.
        progress: called after each block.
        attempts: number of attempts in a row without new bytes before an error is raised.
        wait_s: pause before the next attempt.

    Returns:
        The complete, checked file.

    Raises:
        InputError: another file with the name of the archive exists.
        EarmarkError: the server is not reachable, refuses, or sends another file.
    """
    path = folder / archive.name
    if path.is_file():
        found = _sha256(path, progress)
        if found != archive.sha256:
            raise InputError(f"{path}: SHA-256 is {found}, not {archive.sha256}; remove the file and try again")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    _resume(archive, partial, progress, attempts, wait_s)
    found = _sha256(partial, progress)
    if found != archive.sha256:
        # Requesting missing bytes would not repair the file.
        partial.unlink()
        raise EarmarkError(
            f"{archive.url}: the file has SHA-256 {found}, not {archive.sha256}, and was removed; try again"
        )
    partial.replace(path)
    return path


def unpack(path: Path, folder: Path, *, last: str | None = None, progress: Progress = no_progress) -> None:
    """Unpack a .tar.gz into a folder; its files are moved there only after all of them are unpacked.

    Args:
        path: the archive.
        folder: destination.
        last: file or folder of the archive that is moved into place last.
        progress: called after each file.

    Raises:
        InputError: a file or folder of the archive already exists in the destination.
        EarmarkError: the archive is damaged, or contains links or paths out of the destination.
    """
    if not hasattr(tarfile, "data_filter"):
        raise EarmarkError(f"{path}: unpacking safely needs Python 3.11.4 or later; update Python")
    with scratch_folder(folder) as scratch:
        try:
            _extract(path, scratch, progress)
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise EarmarkError(f"{path}: cannot be unpacked ({error}); remove the archive and try again") from error
        entries = sorted(scratch.iterdir(), key=lambda entry: (entry.name == last, entry.name))
        present = next((entry.name for entry in entries if (folder / entry.name).exists()), None)
        if present is not None:
            raise InputError(f"{folder / present}: exists already; unpack {path.name} into an empty folder")
        for entry in entries:
            entry.replace(folder / entry.name)


def _resume(archive: RemoteArchive, partial: Path, progress: Progress, attempts: int, wait_s: float) -> None:
    """Get the missing bytes of `partial` until it is complete, or fail after `attempts` in a row without new bytes."""
    failures = 0
    while True:
        before = _size(partial)
        try:
            return _transfer(archive, partial, progress)
        except HTTPError as error:
            if error.code not in _TRANSIENT:
                raise EarmarkError(
                    f"{archive.url}: the server answered {error.code} {error.reason}; use another url"
                ) from error
            reason = f"{error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            reason = str(error.reason if isinstance(error, URLError) else error) or type(error).__name__
        failures = 0 if _size(partial) > before else failures + 1
        if failures == attempts:
            raise EarmarkError(
                f"{archive.url}: cannot be downloaded ({reason}); {_size(partial) / 1e6:.1f} MB are kept: run the"
                f" command again to continue, or put the file at {partial.with_suffix('')} yourself"
            )
        time.sleep(wait_s)


def _transfer(archive: RemoteArchive, partial: Path, progress: Progress) -> None:
    """Request the bytes of the archive that `partial` lacks, and append them to it.

    Raises:
        OSError, HTTPException: the connection broke; received bytes are kept.
        EarmarkError: the server has a file of another size.
    """
    begin = _size(partial)
    if begin == archive.size:
        return
    headers = {"User-Agent": "earmark"} | ({"Range": f"bytes={begin}-"} if begin else {})
    try:
        answer = urlopen(Request(archive.url, headers=headers), timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code != _RANGE_NOT_SATISFIABLE:
            raise
        # No bytes are missing: the file is complete, or it is another file, which the check of its SHA-256 finds.
        return
    with answer:
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            partial.unlink()
            raise ConnectionError("the server sent another range of bytes than requested")
        if answer.status != 206:
            begin = 0  # the server cannot send ranges
        length = answer.headers.get("Content-Length")
        total = None if length is None else begin + int(length)
        if archive.size is not None and total not in (None, archive.size):
            raise EarmarkError(f"{archive.url}: the file has {total:,} bytes, not {archive.size:,}; use another url")
        with partial.open("ab" if begin else "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                begin += len(block)
                progress("downloading", begin, total)
    # A connection that ends early raises no error by itself.
    if total is not None and begin < total:
        raise ConnectionError(f"the connection ended after {begin:,} of {total:,} bytes")


def _extract(path: Path, folder: Path, progress: Progress) -> None:
    size = path.stat().st_size
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:gz") as members:
        for member in members:
            if not (member.isfile() or member.isdir()):
                raise tarfile.SpecialFileError(member)
            members.extract(member, folder, filter="data")
            progress("unpacking", file.tell(), size)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path, progress: Progress) -> str:
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress("checking", done, size)
    return digest.hexdigest()
