"""Options that several commands of `earmark prepare` share, and values that they read."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from earmark.core.errors import InputError

WORDS = "separated by commas, or gsc/pre-defined, gsc/unknown, gsc/user-defined"
"""Help for options whose value is words."""

ListAudio = Annotated[
    Path | None,
    typer.Option(help="Folder that the paths in the lists start from; the folder of the manifest if not given."),
]
ManifestOut = Annotated[Path, typer.Option(help="Manifest to write: .tsv or .parquet.")]
SegmentsOut = Annotated[
    Path,
    typer.Option(
        metavar="FILE", help="List to write, lines 'wav spk vad_start vad_end seg_start seg_end label'; or a manifest."
    ),
]
SpeakerPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Regular expression that is searched in the path below the folder; its first group is the speaker. If not "
        "given, the speaker is the name before _nohash_.",
    ),
]
Split = Annotated[str | None, typer.Option(help="Only clips of this split; all if not given.")]
TextFrom = Annotated[Literal["text", "label"], typer.Option(help="Column of MANIFEST with the transcript.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Number of processes; one per core if not given.")]


def process_count(workers: int | None) -> int:
    """Return the number of processes: as given, or one per core."""
    return workers or os.cpu_count() or 1


def read_words(text: str, option: str) -> list[str]:
    """Read the words of an option; spaces become underscores as in lists, and a group becomes its words.

    Raises:
        InputError: no word, or an unknown group.

    >>> read_words("zoom in,gsc/user-defined", "--keywords")[:3]
    ['zoom_in', 'zero', 'one']
    """
    from earmark.data.corpora.speech_commands import WORD_GROUPS
    from earmark.data.lists.clip_lists import listed_label

    words: list[str] = []
    for part in filter(None, map(listed_label, text.split(","))):
        if part.startswith("gsc/") and part not in WORD_GROUPS:
            raise InputError(
                f"no group of words is called {part!r}; the groups are {', '.join(WORD_GROUPS)}", key=option
            )
        words += WORD_GROUPS.get(part, (part,))
    if not words:
        raise InputError("the text contains no word; separate words by commas, as in yes,no", key=option)
    return words


def read_word_lists(parts: list[str], option: str) -> frozenset[str]:
    """Read words in lower case from files and from texts, as `read_words`.

    Args:
        parts: file names, or words separated by commas. A file has words between white space, and comments after `#`.
        option: for messages.

    Raises:
        InputError: no such file, or not a text file.
    """
    words: set[str] = set()
    for part in parts:
        path = Path(part)
        if path.is_file():
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError:
                raise InputError(f"{path}: not a text file in UTF-8; save it as UTF-8", key=option) from None
            words.update(word.lower() for line in lines if not line.startswith("#") for word in line.split())
        elif path.suffix or (os.sep in part and not part.startswith("gsc/")):
            raise InputError(f"{part}: no such file; check the path", key=option)
        else:
            words.update(word.lower() for word in read_words(part, option))
    return frozenset(words)


def read_numbers(text: str, option: str) -> list[int]:
    """Read numbers from 1 on, separated by commas, from the text of an option; returns them sorted, each once.

    Raises:
        InputError: not such numbers.

    >>> read_numbers("10,1,5", "--takes")
    [1, 5, 10]
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"{text!r}: expected numbers from 1 on, separated by commas, as in 1,5,10", key=option)
    return sorted({int(part) for part in parts})


def read_splits(text: str, option: str) -> tuple[str, ...]:
    """Read the names of splits, separated by commas, from the text of an option.

    Raises:
        InputError: the text contains no name.
    """
    splits = tuple(part.strip() for part in text.split(",") if part.strip())
    if not splits:
        raise InputError("the text names no split; separate splits by commas, as in train,val", key=option)
    return splits


def check_out(out: Path, *sources: Path | None) -> None:
    """Check that a list does not replace a file that it is made from, or the checkpoint log beside it.

    Raises:
        InputError: the list would replace one of them.
    """
    if out.suffix == ".jsonl":
        raise InputError(
            f"{out}: the .jsonl file beside the list is its checkpoint log; name the list .txt, .tsv or .parquet",
            key="out",
        )
    for source in sources:
        if source is not None and out.resolve() == source.resolve():
            raise InputError(f"{out}: the list would replace its own source; name another file", key="out")
