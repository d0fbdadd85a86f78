"""Demo audio that ships with earmark: five takes of a keyword, and a stream in which other voices speak it.

The voices (espeak-ng, flite) and the noise are synthetic; `make.py` made them.
"""

from pathlib import Path

KEYWORD = "hey jupiter"

_FOLDER = Path(__file__).parent
STREAM = _FOLDER / "stream.flac"


def take_files() -> list[Path]:
    """Return the paths of the five takes, in order."""
    return sorted(_FOLDER.glob("take_*.flac"))


def true_places() -> list[tuple[float, float]]:
    """Return the start and end of each occurrence of the keyword in the stream, in seconds.

    >>> true_places()[0]
    (3.45, 4.41)
    """
    rows = (_FOLDER / "truth.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [(float(start_s), float(end_s)) for start_s, end_s, _ in (row.split("\t") for row in rows)]
