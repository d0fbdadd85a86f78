"""Find the command that installs an extra of earmark."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit
from urllib.request import url2pathname

CONSTRAINTS = "constraints.txt"


def origin() -> str | None:
    """Return the ``direct_url.json`` (PEP 610) of this installation; None if it is from a package index."""
    try:
        return distribution("earmark").read_text("direct_url.json")
    except PackageNotFoundError:  # the source is on PYTHONPATH
        return json.dumps({"url": Path(__file__).parents[3].as_uri(), "dir_info": {"editable": True}})


def install_command(extra: str, record: str | None) -> str:
    """Return the command that adds an extra to an installation.

    Args:
        extra: name of the extra in pyproject.toml.
        record: the result of `origin`.

    An installation from a folder with a constraints.txt, such as a clone, gets the versions that are written there.

    >>> install_command("train", None)
    'pip install "earmark[train]"'
    >>> install_command("train", '{"url": "file:///home/a/earmark", "dir_info": {"editable": true}}')
    'pip install -e "/home/a/earmark[train]"'
    """
    if record is None:
        return f'pip install "earmark[{extra}]"'
    known = json.loads(record)
    url = urlsplit(known["url"])
    if url.scheme != "file":
        scheme = f"{known['vcs_info']['vcs']}+" if "vcs_info" in known else ""
        return f'pip install "earmark[{extra}] @ {scheme}{known["url"]}"'
    folder = Path(url2pathname(url.path))
    place = Path() if folder == Path.cwd() else folder
    constraints = f"-c {quote(str(place / CONSTRAINTS))} " if (folder / CONSTRAINTS).is_file() else ""
    option = "-e " if known.get("dir_info", {}).get("editable") else ""
    return f'pip install {constraints}{option}"{place}[{extra}]"'
