"""A keyword, five takes of it, and a stream in which other voices say it: sound that comes with earmark.

Synthetic voices (espeak-ng, flite) in synthetic noise; `make.py` makes it anew.
"""

from pathlib import Path

KEYWORD = "hey jupiter"

_FOLDER = Path(__file__).parent
STREAM = _FOLDER / "stream.flac"


def take_files() -> list[Path]:
    """The files of the takes, in order."""
    return sorted(_FOLDER.glob("take_*.flac"))


def true_places() -> list[tuple[float, float]]:
    """Where the stream says the keyword: start and end in seconds.

    >>> true_places()[0]
    (3.45, 4.41)
    """
    rows = (_FOLDER / "truth.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [(float(start_s), float(end_s)) for start_s, end_s, _ in (row.split("\t") for row in rows)]
