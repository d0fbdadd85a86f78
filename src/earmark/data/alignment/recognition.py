"""Recognize the words in cuts of sentences, to confirm an alignment (US English).

pocketsphinx uses one of two language models. `corpus` is a unigram model of the words in the sentences that the cuts
are from: order does not matter, because a cut starts and ends inside a sentence. `english` is pocketsphinx's own model
of English text.
"""

import math
import re
from collections.abc import Mapping, Sequence
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
from earmark.core.files import write_text
from earmark.core.progress import Progress, no_progress
from earmark.data.alignment.forced import Pronunciations, excerpt, pcm, pocketsphinx, pocketsphinx_version
from earmark.data.alignment.formats import json_records, read_ctm
from earmark.data.parallel import map_parallel

# Probability that the cut ends after a word.
_END = 0.1
_SHORTEST = SAMPLE_RATE // 10
_NO_WORD = re.compile(r"[<\[+(].*")
_VARIANT = re.compile(r"\(\d+\)$")
# A narrower search than pocketsphinx's default, with one pass instead of two, takes half the time and keeps about as
# many cuts.
_SEARCH = {"fwdflat": False, "beam": 1e-40, "pbeam": 1e-40, "wbeam": 1e-25}
FileSpan = tuple[str, float, float]
"""Path of a file, and start and end of a cut in seconds."""


@dataclass(frozen=True)
class Recognizer:
    """Language model and dictionary of pocketsphinx.

    Attributes:
        model: language model in ARPA format; None for pocketsphinx's own English model and dictionary.
        dictionary: pronunciations of the model's words.
        fingerprint: identifies the content of both files.
    """

    model: Path | None = None
    dictionary: Path | None = None
    fingerprint: str = "english"


def corpus_recognizer(counts: Mapping[str, int], folder: Path, pronunciations: Pronunciations = ()) -> Recognizer:
    """Make a recognizer of some words only, whose probabilities are proportional to their counts.

    Args:
        counts: number of occurrences by word; words without pronunciation are dropped.
        folder: folder to write `words.arpa` and `words.dict` to.
        pronunciations: pronunciations of words that the dictionary lacks.

    Raises:
        InputError: pocketsphinx is not installed, or no word has a pronunciation.
    """
    entries = [line for line in _dictionary_lines() if _VARIANT.sub("", line.split(maxsplit=1)[0]) in counts]
    known = {_VARIANT.sub("", line.split(maxsplit=1)[0]) for line in entries}
    entries += [f"{word} {phones}" for word, phones in pronunciations if word in counts and word not in known]
    words = sorted({_VARIANT.sub("", line.split(maxsplit=1)[0]) for line in entries})
    if not words:
        raise InputError(
            "none of the words in the sentences is in pocketsphinx's dictionary; add pronunciations, use hypotheses of"
            " another recognizer, or keep all cuts"
        )
    total = sum(counts[word] for word in words)
    lines = ["\\data\\", f"ngram 1={len(words) + 2}", "", "\\1-grams:", f"{math.log10(_END):.4f} </s>", "-99 <s> 0"]
    lines += [f"{math.log10((1 - _END) * counts[word] / total):.4f} {word} 0" for word in words]
    files = {"words.arpa": "\n".join([*lines, "", "\\end\\", ""]), "words.dict": "\n".join([*entries, ""])}
    for name, text in files.items():
        write_text(folder / name, text)
    fingerprint = blake2b("".join(files.values()).encode(), digest_size=8).hexdigest()
    return Recognizer(folder / "words.arpa", folder / "words.dict", fingerprint)


def recognize(
    cuts: Sequence[FileSpan],
    recognizer: Recognizer,
    log: Path,
    *,
    workers: int = 1,
    progress: Progress = no_progress,
) -> list[tuple[str, ...]]:
    """Recognize the words of each cut.

    Args:
        cuts: parts of files.
        recognizer: language model and dictionary.
        log: checkpoint log; cuts that an earlier run recognized are not recognized again.
        workers: number of processes.
        progress: called after each cut.

    Returns:
        Words of each cut, in the order of the cuts.

    Raises:
        InputError: pocketsphinx is not installed.
    """
    made_by = {
        "recognizer": f"pocketsphinx {pocketsphinx_version()}",
        "search": {name: str(value) for name, value in _SEARCH.items()},
        "model": recognizer.fingerprint,
    }
    with CheckpointLog(log, made_by) as kept:
        todo = sorted({cut for cut in cuts if _key(cut) not in kept.done})
        total = len(set(cuts))
        done = total - len(todo)
        progress("recognizing", done, total)
        by_file = [list(group) for _, group in groupby(todo, key=lambda cut: cut[0])]
        for results in map_parallel(partial(_recognize_file, recognizer=recognizer), by_file, workers):
            for cut, words in results:
                kept.add(_key(cut), {"words": words})
                done += 1
                progress("recognizing", done, total)
        return [tuple(kept.done[_key(cut)]["words"]) for cut in cuts]


def read_hypotheses(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the words that another recognizer found in each cut, from a .ctm, .json or .jsonl file.

    JSON is an array of records, or one record per line: {"name": "hello_anna_1_0", "text": "well hello"}.

    Returns:
        Words by name of the cut.

    Raises:
        InputError: the file is missing or has another format.
    """
    match path.suffix.lower():
        case _ if not path.is_file():
            raise InputError(f"{path}: no such file of hypotheses; check the path")
        case ".ctm":
            return {name: tuple(word.text for word in words) for name, words in read_ctm(path).items()}
        case ".json" | ".jsonl":
            found = {}
            for number, record in json_records(path):
                if not isinstance(record.get("name"), str) or not isinstance(record.get("text"), str):
                    raise InputError(f"{path}, record {number}: expected {{'name': …, 'text': …}}")
                found[record["name"]] = tuple(record["text"].lower().replace("’", "'").split())
            return found
        case suffix:
            raise InputError(f"{path}: the suffix {suffix!r} is unknown; use .ctm, .json or .jsonl")


def _key(cut: FileSpan) -> str:
    path, start_s, end_s = cut
    return f"{path} {start_s:g} {end_s:g}"


def _recognize_file(cuts: Sequence[FileSpan], *, recognizer: Recognizer) -> list[tuple[FileSpan, list[str]]]:
    """Recognize the words of each cut of one file; if the file cannot be read, return no words for its cuts."""
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
    """Lines of pocketsphinx's dictionary: a word and its phones."""
    path = Path(pocketsphinx().get_model_path("en-us/cmudict-en-us.dict"))
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@cache
def _decoder(recognizer: Recognizer) -> Any:
    settings: dict[str, Any] = {"loglevel": "FATAL", **_SEARCH}
    if recognizer.model:
        # The dictionary has only the model's words, because a decoder with all words takes long to create.
        settings |= {"lm": str(recognizer.model), "dict": str(recognizer.dictionary)}
    return pocketsphinx().Decoder(**settings)
