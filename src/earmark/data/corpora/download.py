"""Download an archive over HTTP, go on where an earlier try was cut off, check it, and unpack it safely."""

import hashlib
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from earmark.core.errors import EarmarkError, InputError

Progress = Callable[[str, int, int | None], object]
"""Called with what is being done, how many bytes are done, and of how many (None: nobody knows)."""

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0
_RANGE_NOT_SATISFIABLE = 416
# Answers that another try may change.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RemoteArchive:
    """A .tar.gz on a server.

    Attributes:
        url: http or https.
        sha256: of the file, 64 hexadecimal digits.
        size: in bytes; None where nobody knows.
    """

    url: str
    sha256: str
    size: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be downloaded or checked."""
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"{self.url}: not an address that begins with https:// or http://")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise InputError(f"{self.sha256!r}: a SHA-256 is 64 hexadecimal digits, in small letters")

    @property
    def name(self) -> str:
        """The name of the file.

        >>> RemoteArchive("https://host/data/words.tar.gz?version=2", sha256="0" * 64).name
        'words.tar.gz'
        """
        return self.url.partition("?")[0].rpartition("/")[2]


def fetch(archive: RemoteArchive, folder: Path, *, last: str, progress: Progress) -> bool:
    """Download an archive into a folder and unpack it there, unless that was done already.

    Args:
        archive: what to download.
        folder: made when absent. The archive stays in it.
        last: a file or folder of the archive that is put in place after all others; where it is, all is there.
        progress: told about every block.

    Returns:
        Whether there was something to do.

    Raises:
        InputError: the folder has other folders in it already.
        EarmarkError: see `download` and `unpack`.
    """
    if (folder / last).exists():
        return False
    # Better told now than after an hour of downloading.
    present = sorted(path for path in folder.glob("[!.]*") if path.is_dir())
    if present:
        raise InputError(f"{present[0]}: is there already; download {archive.name} into an empty folder")
    unpack(download(archive, folder, progress=progress), folder, last=last, progress=progress)
    return True


def download(
    archive: RemoteArchive, folder: Path, *, progress: Progress, attempts: int = 5, wait_s: float = 2.0
) -> Path:
    """Download an archive into a folder.

    What has arrived is kept in `NAME.partial`; the next try, in this call or a later one, asks for the rest only.

    Args:
        archive: what to download.
        folder: made when absent.
        progress: told about every block.
        attempts: how many tries in a row may bring nothing before it gives up.
        wait_s: pause before a new try.

    Returns:
        The complete, checked file.

    Raises:
        InputError: a file of that name is there, and is another one.
        EarmarkError: the server cannot be reached, refuses, or sends another file.
    """
    path = folder / archive.name
    if path.is_file():
        found = _sha256(path, progress)
        if found != archive.sha256:
            raise InputError(f"{path}: SHA-256 is {found}, not {archive.sha256}; remove it and run the command again")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    _bring(archive, partial, progress, attempts, wait_s)
    found = _sha256(partial, progress)
    if found != archive.sha256:
        # Whatever is wrong in it, asking for the rest would not mend it.
        partial.unlink()
        raise EarmarkError(
            f"{archive.url}: what arrived has SHA-256 {found}, not {archive.sha256}, and was removed; run it again"
        )
    partial.replace(path)
    return path


def unpack(path: Path, folder: Path, *, last: str | None = None, progress: Progress) -> None:
    """Unpack a .tar.gz that holds files and folders only, all of them inside of `folder`.

    Nothing is put in place before everything is unpacked.

    Args:
        path: the archive.
        folder: where to.
        last: a file or folder of the archive that is put in place after all others.
        progress: told about every member.

    Raises:
        InputError: something in the archive is in the folder already.
        EarmarkError: the archive is damaged, or holds links or names that lead out of the folder.
    """
    if not hasattr(tarfile, "data_filter"):
        raise EarmarkError(f"{path}: unpacking safely needs Python 3.11.4 or later; update Python")
    aside = folder / f".{path.name}.unpacking"
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was stopped
    aside.mkdir(parents=True)
    try:
        try:
            _extract(path, aside, progress)
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise EarmarkError(f"{path}: cannot be unpacked ({error}); nothing of it was put in place") from error
        entries = sorted(aside.iterdir(), key=lambda entry: (entry.name == last, entry.name))
        present = next((entry.name for entry in entries if (folder / entry.name).exists()), None)
        if present is not None:
            raise InputError(f"{folder / present}: is there already; unpack {path.name} into an empty folder")
        for entry in entries:
            entry.replace(folder / entry.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _bring(archive: RemoteArchive, partial: Path, progress: Progress, attempts: int, wait_s: float) -> None:
    """Transfer until `partial` is complete, or until several tries in a row brought nothing."""
    vain = 0
    while True:
        before = _size(partial)
        try:
            return _transfer(archive, partial, progress)
        except HTTPError as error:
            if error.code not in _PASSING:
                raise EarmarkError(
                    f"{archive.url}: {error.code} {error.reason}; name another address with --url"
                ) from error
            reason = f"{error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            reason = str(error.reason if isinstance(error, URLError) else error) or type(error).__name__
        vain = 0 if _size(partial) > before else vain + 1
        if vain == attempts:
            raise EarmarkError(
                f"{archive.url}: cannot be downloaded ({reason}); {_size(partial) / 1e6:.1f} MB are kept:"
                f" run the command again to go on, or put the file at {partial.with_suffix('')} yourself"
            )
        time.sleep(wait_s)


def _transfer(archive: RemoteArchive, partial: Path, progress: Progress) -> None:
    """Ask for what is missing, and append it.

    Raises:
        OSError, HTTPException: the connection broke; what arrived is kept.
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
        # Nothing is left to ask for: the file is complete, or it is another one; its SHA-256 tells.
        return
    with answer:
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            partial.unlink()
            raise ConnectionError("the server sent another part than the one asked for")
        if answer.status != 206:
            begin = 0  # the server cannot send parts
        length = answer.headers.get("Content-Length")
        total = None if length is None else begin + int(length)
        if archive.size is not None and total not in (None, archive.size):
            raise EarmarkError(
                f"{archive.url}: has {total:,} bytes, not {archive.size:,}; name another address with --url"
            )
        with partial.open("ab" if begin else "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                begin += len(block)
                progress("downloading", begin, total)
    # A connection that ends early raises nothing by itself.
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
