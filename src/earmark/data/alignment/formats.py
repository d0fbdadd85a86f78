"""Word alignments of other tools: TextGrids of the Montreal Forced Aligner, CTM, JSON.

JSON is one array of records, or one record per line:

    {"path": "wav/anna_1.wav", "words": [{"text": "hello", "start_s": 0.31, "end_s": 0.74,
                                          "phones": [{"text": "HH", "start_s": 0.31, "end_s": 0.38}]}]}

`phones` is optional; other keys are ignored. Records without `words`, such as the first line of a checkpoint log of
`earmark.data.alignment.forced`, are skipped. In all formats, times count from the start of the audio file.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from earmark.core.errors import InputError, needs
from earmark.data.alignment.forced import Alignment, Phone, Word, alignment_from, spoken_words
from earmark.data.corpora.folder import SOUND_SUFFIXES
from earmark.data.manifest import Clip, Manifest

# Labels of silence, noise and unknown words.
_NO_WORD = re.compile(r"(?:|sil|sp|spn|[<\[{+].*)", re.IGNORECASE)
_ROUNDING_S = 0.011
_TIERS = ("words", "word")


@dataclass(frozen=True)
class Alignments:
    """Aligned words by recording.

    Attributes:
        source: folder or file of the alignments, for messages.
        words: words by name of the recording, which is the end of its path, without suffix.
    """

    source: Path
    words: Mapping[str, Sequence[Word]]

    def of(self, manifest: Manifest) -> list[Alignment]:
        """Return an alignment for each clip: its words, with times from the start of the file.

        Args:
            manifest: clips; the text of a clip, if any, must contain the aligned words in order, and may contain more.

        Raises:
            InputError: no clip has an alignment, two alignments match one clip, or an aligned word is not in the text
                of its clip.
        """
        by_stem: dict[str, list[str]] = defaultdict(list)
        for recording in self.words:
            by_stem[PurePosixPath(recording).name].append(recording)
        found = []
        for clip in manifest:
            name = self._name_of(clip.path, by_stem)
            if name is None:
                found.append(Alignment(failure="no alignment"))
                continue
            words = tuple(word for word in self.words[name] if _within(word, clip))
            self._check(words, clip, name)
            found.append(Alignment(words) if words else Alignment(failure="no word in its alignment"))
        if all(alignment.failure for alignment in found):
            raise InputError(
                f"{self.source}: no alignment has the name of a recording; rename the alignments, such as"
                f" {_some(self.words)}, after the recordings, such as {_some(clip.path for clip in manifest)}"
            )
        return found

    def _name_of(self, path: str, by_stem: Mapping[str, Sequence[str]]) -> str | None:
        name = _without_suffix(path)
        candidates = by_stem.get(PurePosixPath(name).name, ())
        shared = {other: _shared_parts(name, other) for other in candidates}
        closest = [other for other, parts in shared.items() if parts == max(shared.values())]
        if len(closest) > 1:
            raise InputError(
                f"{self.source}: {closest[0]} and {closest[1]} both match {path}; add the folders of the recordings to"
                " the names of the alignments"
            )
        return closest[0] if closest else None

    def _check(self, words: Sequence[Word], clip: Clip, name: str) -> None:
        if not clip.text:
            return
        said = iter(spoken_words(clip.text))
        for word in words:
            for part in spoken_words(word.text):
                if part not in said:
                    raise InputError(
                        f"{self.source}: {name} has {part!r} at {word.start_s:.2f} s, but the text of {clip.path} does"
                        f" not have this word ({clip.text!r}); align the texts of the manifest"
                    )


def read_alignments(source: str | Path) -> Alignments:
    """Read a folder of TextGrids, or a .TextGrid, .ctm, .json or .jsonl file.

    Raises:
        InputError: the file is missing or not an alignment; the message names the file and the line.
    """
    source = Path(source)
    if source.is_dir():
        return Alignments(source, _read_folder(source))
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder of alignments; check the path")
    match source.suffix.lower():
        case ".textgrid":
            return Alignments(source, {source.stem: read_text_grid(source)})
        case ".ctm":
            return Alignments(source, read_ctm(source))
        case ".json" | ".jsonl":
            return Alignments(source, read_json(source))
        case suffix:
            raise InputError(f"{source}: the suffix {suffix!r} is unknown; use .TextGrid, .ctm, .json or .jsonl")


def read_text_grid(path: Path) -> tuple[Word, ...]:
    """Read words, and phones if there are any, from the tiers `words` and `phones` of a TextGrid.

    The Montreal Forced Aligner calls a tier `anna - words` if it knows the speaker; such tiers are read too.

    Raises:
        InputError: praatio is not installed, the file is not a TextGrid, or it has no tier of words.
    """
    with needs("train"):
        from praatio import textgrid
        from praatio.utilities.errors import PraatioException
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    except (PraatioException, ValueError, IndexError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not a readable TextGrid ({reason}); write the file again") from None
    tiers = [name for name in grid.tierNames if _kind(name) in _TIERS]
    if not tiers:
        raise InputError(f"{path}: no tier 'words', only {', '.join(grid.tierNames)}; rename the tier with the words")
    words = []
    for tier in tiers:
        phones = [
            Phone(entry.label, float(entry.start), float(entry.end))
            for name in grid.tierNames
            if _kind(name) in {"phones", "phone"} and _speaker(name) == _speaker(tier)
            for entry in grid.getTier(name).entries
        ]
        for start_s, end_s, text in grid.getTier(tier).entries:
            inside = tuple(phone for phone in phones if start_s - 1e-4 <= phone.start_s < end_s - 1e-4)
            words.append(Word(_lower(text), float(start_s), float(end_s), inside))
    return _spoken(words)


def read_ctm(path: Path) -> dict[str, tuple[Word, ...]]:
    """Read words by recording from a CTM file: lines `recording channel start duration word`; `;;` starts a comment.

    Raises:
        InputError: a line has another format, or there are no words.
    """
    found: dict[str, list[Word]] = defaultdict(list)
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip() or line.startswith(";;"):
            continue
        columns = line.split()
        try:
            recording, _, start_s, duration_s, word = columns[:5]
            start, duration = float(start_s), float(duration_s)
        except ValueError:
            raise InputError(
                f"{path}:{number}: expected 'recording channel start duration word', got {line!r}"
            ) from None
        found[_without_suffix(recording)].append(Word(_lower(word), start, round(start + duration, 4)))
    if not found:
        raise InputError(f"{path}: the file has no words; write lines 'recording channel start duration word'")
    return {recording: _spoken(words) for recording, words in found.items()}


def read_json(path: Path) -> dict[str, tuple[Word, ...]]:
    """Read words by recording from a JSON file, in the format of this module's description.

    Raises:
        InputError: the file is not JSON, or a record is incomplete.
    """
    found: dict[str, tuple[Word, ...]] = {}
    for number, record in json_records(path):
        if "words" not in record:
            continue
        try:
            words = _spoken(alignment_from(record).words)
            recording = _without_suffix(str(record["path"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path}, record {number}: expected {{'path': …, 'words': [{{'text', 'start_s', 'end_s'}}]}}"
                f" ({type(error).__name__}: {error})"
            ) from None
        found[recording] = found.get(recording, ()) + tuple(replace(word, text=_lower(word.text)) for word in words)
    if not found:
        raise InputError(f"{path}: no record has the key 'words'; add the aligned words")
    return found


def json_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the number (from 1) and the content of each object in a JSON array, or in a file with one object per line.

    Raises:
        InputError: the file is not JSON, or has other values than objects.
    """
    text = _text(path)
    lines: Iterable[str] = text.splitlines()
    if text.lstrip().startswith("["):
        try:
            records = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}: not JSON ({error}); write one array, or one record per line") from None
        lines = ()
    else:
        records = []
    for number, line in enumerate(lines, 1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise InputError(f"{path}:{number}: not JSON ({error}); write one array, or one record per line") from None
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise InputError(f"{path}, record {number}: expected a JSON object, got {type(record).__name__}")
        yield number, record


def _read_folder(folder: Path) -> dict[str, tuple[Word, ...]]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".textgrid" and path.is_file())
    if not paths:
        raise InputError(f"{folder}: no TextGrids in this folder; for other formats, choose a file instead of a folder")
    return {path.relative_to(folder).with_suffix("").as_posix(): read_text_grid(path) for path in paths}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error}); check the path and the file") from None


def _spoken(words: Iterable[Word]) -> tuple[Word, ...]:
    return tuple(
        word
        for word in sorted(words, key=lambda word: word.start_s)
        if not _NO_WORD.fullmatch(word.text) and word.end_s > word.start_s
    )


def _within(word: Word, clip: Clip) -> bool:
    end_s = float("inf") if clip.end_s is None else clip.end_s
    return word.start_s >= clip.start_s - _ROUNDING_S and word.end_s <= end_s + _ROUNDING_S


def _kind(tier: str) -> str:
    return tier.rpartition(" - ")[2].strip().lower()


def _speaker(tier: str) -> str:
    return tier.rpartition(" - ")[0]


def _lower(text: str) -> str:
    return text.strip().lower().replace("’", "'")


def _without_suffix(path: str) -> str:
    place = PurePosixPath(path)
    return str(place.with_suffix("") if place.suffix.lower() in SOUND_SUFFIXES else place)


def _shared_parts(one: str, other: str) -> int:
    """Number of equal components at the ends of two paths."""
    count = 0
    for a, b in zip(reversed(PurePosixPath(one).parts), reversed(PurePosixPath(other).parts), strict=False):
        if a != b:
            break
        count += 1
    return count


def _some(names: Iterable[str]) -> str:
    first = list(names)[:2]
    return ", ".join(first) + " …"
