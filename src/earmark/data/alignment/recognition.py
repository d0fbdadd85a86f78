"""Recognize short cuts of speech again, to see whether they say what an alignment claims (US English).

pocketsphinx searches with one of two language models. `corpus` is the words of the sentences that the cuts come from,
as often as they are said there, without any order: a cut starts and ends in the middle of a sentence. `english` is
pocketsphinx's own model of English text.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from earmark.core.audio import SAMPLE_RATE, AudioError, read
from earmark.core.checkpoint_log import CheckpointLog
from earmark.core.errors import InputError
from earmark.data.alignment.forced import Pronunciations, excerpt, pcm, pocketsphinx, pocketsphinx_version
from earmark.data.alignment.formats import json_records, read_ctm
from earmark.data.parallel import map_parallel

# Of the model's probability, what is left for the end of the cut.
_END = 0.1
_SHORTEST = SAMPLE_RATE // 10
_NO_WORD = re.compile(r"[<\[+(].*")
_VARIANT = re.compile(r"\(\d+\)$")
# Narrower than pocketsphinx searches, and once instead of twice: half the time for about as many cuts that are kept.
_SEARCH = {"fwdflat": False, "beam": 1e-40, "pbeam": 1e-40, "wbeam": 1e-25}
FileSpan = tuple[str, float, float]
"""A file, and where in it a cut starts and ends, in seconds."""


@dataclass(frozen=True)
class Recognizer:
    """What recognizes the cuts; without files, pocketsphinx's own model and dictionary of English.

    Attributes:
        model: language model in ARPA format.
        dictionary: pronunciations of its words.
        fingerprint: changes with what is in the two files.
    """

    model: Path | None = None
    dictionary: Path | None = None
    fingerprint: str = "english"


def corpus_recognizer(counts: Mapping[str, int], folder: Path, pronunciations: Pronunciations = ()) -> Recognizer:
    """A recognizer that knows some words only, each as likely as its count says.

    Args:
        counts: words and how often they are said; words without pronunciation are left out.
        folder: where its files are written, `words.arpa` and `words.dict`.
        pronunciations: of words that the dictionary lacks.

    Raises:
        InputError: pocketsphinx is not installed, or no word has a pronunciation.
    """
    entries = [line for line in _dictionary_lines() if _VARIANT.sub("", line.split(maxsplit=1)[0]) in counts]
    known = {_VARIANT.sub("", line.split(maxsplit=1)[0]) for line in entries}
    entries += [f"{word} {phones}" for word, phones in pronunciations if word in counts and word not in known]
    words = sorted({_VARIANT.sub("", line.split(maxsplit=1)[0]) for line in entries})
    if not words:
        raise InputError("none of the words is in pocketsphinx's dictionary; bring --hypotheses, or say --no-filter")
    total = sum(counts[word] for word in words)
    lines = ["\\data\\", f"ngram 1={len(words) + 2}", "", "\\1-grams:", f"{math.log10(_END):.4f} </s>", "-99 <s> 0"]
    lines += [f"{math.log10((1 - _END) * counts[word] / total):.4f} {word} 0" for word in words]
    files = {"words.arpa": "\n".join([*lines, "", "\\end\\", ""]), "words.dict": "\n".join([*entries, ""])}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    fingerprint = blake2b("".join(files.values()).encode(), digest_size=8).hexdigest()
    return Recognizer(folder / "words.arpa", folder / "words.dict", fingerprint)


def recognize(
    cuts: Sequence[FileSpan],
    recognizer: Recognizer,
    journal: Path,
    *,
    workers: int = 1,
    on_cut: Callable[[int, int], None] | None = None,
) -> list[tuple[str, ...]]:
    """The words that are heard in each cut.

    Args:
        cuts: stretches of files.
        recognizer: what to hear them with.
        journal: file that keeps what was heard; cuts that an earlier run heard are not heard again.
        workers: processes.
        on_cut: called with the number of finished cuts and of all.

    Raises:
        InputError: pocketsphinx is not installed.
    """
    made_by = {
        "recognizer": f"pocketsphinx {pocketsphinx_version()}",
        "search": {name: str(value) for name, value in _SEARCH.items()},
        "model": recognizer.fingerprint,
    }
    with CheckpointLog(journal, made_by) as kept:
        todo = sorted({cut for cut in cuts if _key(cut) not in kept.done})
        total = len(set(cuts))
        done = total - len(todo)
        by_file = [list(group) for _, group in groupby(todo, key=lambda cut: cut[0])]
        for results in map_parallel(partial(_hear_file, recognizer=recognizer), by_file, workers):
            for cut, words in results:
                kept.add(_key(cut), {"words": words})
                done += 1
                if on_cut:
                    on_cut(done, total)
        return [tuple(kept.done[_key(cut)]["words"]) for cut in cuts]


def read_hypotheses(path: Path) -> dict[str, tuple[str, ...]]:
    """What another recognizer heard in each cut, by the cut's name: a .ctm, .json or .jsonl file.

    JSON is an array of records, or one record a line: {"name": "hello_anna_1_0", "text": "well hello"}.

    Raises:
        InputError: no such file, or one of another form.
    """
    match path.suffix.lower():
        case _ if not path.is_file():
            raise InputError(f"{path}: no such file of hypotheses")
        case ".ctm":
            return {name: tuple(word.text for word in words) for name, words in read_ctm(path).items()}
        case ".json" | ".jsonl":
            found = {}
            for number, record in json_records(path):
                if not isinstance(record.get("name"), str) or not isinstance(record.get("text"), str):
                    raise InputError(f"{path}, record {number}: not {{'name': …, 'text': …}}")
                found[record["name"]] = tuple(record["text"].lower().replace("’", "'").split())
            return found
        case suffix:
            raise InputError(f"{path}: hypotheses are .ctm, .json or .jsonl, not {suffix or 'without suffix'}")


def _key(cut: FileSpan) -> str:
    path, start_s, end_s = cut
    return f"{path} {start_s:g} {end_s:g}"


def _hear_file(cuts: Sequence[FileSpan], *, recognizer: Recognizer) -> list[tuple[FileSpan, list[str]]]:
    """What is heard in the cuts of one file; nothing where it cannot be read."""
    path = cuts[0][0]
    decoder = _decoder(recognizer)
    try:
        wave = read(path)
    except AudioError:
        return [(cut, []) for cut in cuts]
    results = []
    for cut in cuts:
        part = excerpt(wave, cut[1], cut[2])
        words = []
        if len(part) >= _SHORTEST:
            decoder.start_utt()
            decoder.process_raw(pcm(np.ascontiguousarray(part)), full_utt=True)
            decoder.end_utt()
            words = [_VARIANT.sub("", segment.word) for segment in decoder.seg() or ()]
        results.append((cut, [word for word in words if not _NO_WORD.fullmatch(word)]))
    return results


def _dictionary_lines() -> list[str]:
    """Words and phones as pocketsphinx's dictionary has them."""
    path = Path(pocketsphinx().get_model_path("en-us/cmudict-en-us.dict"))
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@cache
def _decoder(recognizer: Recognizer) -> Any:
    settings: dict[str, Any] = {"loglevel": "FATAL", **_SEARCH}
    if recognizer.model:
        # A dictionary of the model's words only: with all the others, decoders of few words take long to make.
        settings |= {"lm": str(recognizer.model), "dict": str(recognizer.dictionary)}
    return pocketsphinx().Decoder(**settings)
