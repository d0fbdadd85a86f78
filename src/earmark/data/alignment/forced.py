"""Forced alignment of transcripts by pocketsphinx: find start and end of each word (US English).

pocketsphinx's wheel contains the acoustic model and the pronouncing dictionary (CMUdict).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from earmark.core.audio import SAMPLE_RATE, AudioError, Wave, read
from earmark.core.checkpoint_log import CheckpointLog
from earmark.core.errors import EarmarkError, InputError, needs
from earmark.core.progress import Progress, no_progress
from earmark.data.manifest import Clip, Manifest
from earmark.data.parallel import map_parallel

FRAME_S = 0.01
# A wide search also aligns recordings that match their transcript badly or begin or end with digital silence.
_WIDE = {"beam": 1e-80, "pbeam": 1e-80, "wbeam": 1e-60}
UNKNOWN = "not in the dictionary"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*'?")
_VARIANT = re.compile(r"\(\d+\)$")


class AlignmentError(EarmarkError):
    """A sentence cannot be aligned; the message is the reason, with details after a colon."""


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone, as in the dictionary (ARPABET), with start and end in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word with start and end in seconds, and its phones if they were aligned."""

    text: str
    start_s: float
    end_s: float
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True)
class Alignment:
    """The words of a sentence, with times from the start of the file, or the reason why there are none."""

    words: tuple[Word, ...] = ()
    failure: str = ""


Pronunciations = tuple[tuple[str, str], ...]
"""Words that the dictionary lacks, each with its phones; the phones are separated by spaces."""


def spoken_words(text: str) -> tuple[str, ...]:
    """Split a transcript into words: lower case, without punctuation except apostrophes inside words.

    >>> spoken_words("LOOK, at Ann’s well-known pants!")
    ('look', 'at', "ann's", 'well', 'known', 'pants')
    """
    return tuple(word.rstrip("'") for word in _WORD.findall(text.lower().replace("’", "'")))


def align(
    wave: Wave, words: Sequence[str], *, phones: bool = False, pronunciations: Pronunciations = ()
) -> tuple[Word, ...]:
    """Align a transcript with its recording.

    Args:
        wave: one sentence, shape (n,).
        words: words of the sentence, from `spoken_words`.
        phones: also align phones, which takes about twice the time.
        pronunciations: pronunciations of words that the dictionary lacks.

    Returns:
        The words, without silences; times count from the start of the wave.

    Raises:
        AlignmentError: there are no words or no audio, a word has no pronunciation, or the audio does not match the
            words.
        InputError: pocketsphinx is not installed, or a pronunciation uses unknown phones.
    """
    if not words:
        raise AlignmentError("no text in the sentence: write its transcript")
    decoder = _decoder(pronunciations)
    unknown = sorted({word for word in words if decoder.lookup_word(word) is None})
    if unknown:
        raise AlignmentError(f"{UNKNOWN}: {', '.join(unknown)}")
    if not len(wave):
        raise AlignmentError("no audio in the sentence: check its start and end")
    samples = pcm(wave)
    for is_wide in (False, True):
        found = _found(_decoder(pronunciations, is_wide=is_wide), samples, words, phones)
        if [word.text for word in found] == list(words):
            return found
    raise AlignmentError("the audio does not fit the text: correct the text, or drop the sentence")


def align_sentences(
    manifest: Manifest,
    log: Path,
    *,
    phones: bool = False,
    pronunciations: Pronunciations = (),
    workers: int = 1,
    progress: Progress = no_progress,
) -> list[Alignment]:
    """Align the recording of each sentence in a manifest with the transcript in the column `text`.

    Args:
        manifest: sentences.
        log: checkpoint log; sentences that an earlier run aligned are not aligned again.
        phones: also align phones.
        pronunciations: pronunciations of words that the dictionary lacks.
        workers: number of processes.
        progress: called after each sentence.

    Returns:
        One alignment per sentence, in order; times count from the start of the file.

    Raises:
        InputError: pocketsphinx is not installed, or a pronunciation uses unknown phones.
    """
    made_by = {
        "aligner": f"pocketsphinx {pocketsphinx_version()}",
        "phones": phones,
        "pronunciations": list(map(list, pronunciations)),
    }
    _decoder(pronunciations)
    job = partial(_align_file, phones=phones, pronunciations=pronunciations)
    with CheckpointLog(log, made_by) as kept:
        todo = [(key, clip) for key, clip in _keyed(manifest) if key not in kept.done]
        todo.sort(key=lambda item: item[1].path)
        total, done = len(manifest), len(manifest) - len(todo)
        progress("aligning", done, total)
        by_file = [list(group) for _, group in groupby(todo, key=lambda item: item[1].path)]
        for results in map_parallel(job, by_file, workers):
            for key, record in results:
                kept.add(key, record)
                done += 1
                progress("aligning", done, total)
        return [alignment_from(kept.done[key]) for key, _ in _keyed(manifest)]


def alignment_from(record: Mapping[str, Any]) -> Alignment:
    """Convert a JSON record to an alignment, see `earmark.data.alignment.formats`.

    Raises:
        KeyError: a word has no text, start_s or end_s.
        TypeError: a value has the wrong type.
    """
    words = []
    for word in record["words"]:
        phones = tuple(Phone(str(p["text"]), float(p["start_s"]), float(p["end_s"])) for p in word.get("phones", ()))
        words.append(Word(str(word["text"]), float(word["start_s"]), float(word["end_s"]), phones))
    return Alignment(tuple(words), str(record.get("failure", "")))


def read_pronunciations(path: Path) -> Pronunciations:
    """Read pronunciations, one per line: a word and its phones (ARPABET without stress), separated by spaces.

    Raises:
        InputError: the file cannot be read, or a line has no phones.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error}); check the path and the file") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        word, *phones = line.split()
        if not phones:
            raise InputError(f"{path}:{number}: expected a word and its phones, as in: henny HH EH N IY")
        found.append((word.lower(), " ".join(phones).upper()))
    return tuple(found)


def pocketsphinx() -> Any:
    """Import pocketsphinx.

    Raises:
        InputError: pocketsphinx is not installed.
    """
    with needs("train", alternative="use alignments of another tool"):
        import pocketsphinx as package
    return package


def pocketsphinx_version() -> str:
    """Version of pocketsphinx; another version may align differently."""
    pocketsphinx()
    return version("pocketsphinx")


def pcm(wave: Wave) -> bytes:
    """Convert a wave to 16-bit samples, the input of pocketsphinx."""
    return (np.clip(wave, -1, 1) * 32767).astype(np.int16).tobytes()


def excerpt(wave: Wave, start_s: float, end_s: float | None) -> Wave:
    """Cut a part out of a wave; `end_s` None is the end of the wave."""
    return wave[round(start_s * SAMPLE_RATE) : None if end_s is None else round(end_s * SAMPLE_RATE)]


def _align_file(
    sentences: Sequence[tuple[str, Clip]], *, phones: bool, pronunciations: Pronunciations
) -> list[tuple[str, dict[str, Any]]]:
    """Align the sentences of one audio file; return the key and the JSON record of each for the checkpoint log."""
    path = sentences[0][1].path
    try:
        wave = read(path)
    except AudioError as error:
        wave, unreadable = np.zeros(0, np.float32), f"unreadable: {error}"
    else:
        unreadable = ""
    results = []
    for key, clip in sentences:
        record: dict[str, Any] = {"path": path, "text": clip.text, "words": []}
        try:
            if unreadable:
                raise AlignmentError(unreadable)
            part = excerpt(wave, clip.start_s, clip.end_s)
            words = align(part, spoken_words(clip.text), phones=phones, pronunciations=pronunciations)
        except AlignmentError as error:
            record["failure"] = str(error)
        else:
            record["words"] = [_record(word, clip.start_s) for word in words]
        results.append((key, record))
    return results


def _record(word: Word, offset_s: float) -> dict[str, Any]:
    def moved(part: Word | Phone) -> dict[str, Any]:
        return {
            "text": part.text,
            "start_s": round(part.start_s + offset_s, 4),
            "end_s": round(part.end_s + offset_s, 4),
        }

    phones = [moved(phone) for phone in word.phones]
    return moved(word) | ({"phones": phones} if phones else {})


def _keyed(manifest: Manifest) -> Iterable[tuple[str, Clip]]:
    """Yield the key and the clip, with an absolute path, of each sentence.

    The key contains everything about the sentence that its alignment depends on.
    """
    for clip in manifest:
        path = str(manifest.locate(clip).resolve())
        values = asdict(clip) | {"path": path}
        yield f"{path} {clip.start_s:g} {clip.end_s} {clip.text}", Clip(**values)


def _found(decoder: Any, samples: bytes, words: Sequence[str], phones: bool) -> tuple[Word, ...]:
    """Align words with 16-bit samples; return the words with their times, or an empty tuple if this fails."""
    try:
        decoder.set_align_text(" ".join(words))
        _decode(decoder, samples)
        found = [
            Word(_without_variant(segment.word), segment.start_frame * FRAME_S, (segment.end_frame + 1) * FRAME_S)
            for segment in decoder.seg() or ()
        ]
        if phones and found:
            decoder.set_alignment()
            _decode(decoder, samples)
            found = [_with_phones(entry) for entry in decoder.get_alignment()]
    except RuntimeError:
        return ()
    return tuple(word for word in found if not word.text.startswith("<"))


@cache
def _decoder(pronunciations: Pronunciations = (), *, is_wide: bool = False) -> Any:
    # `bestpath` is off: pocketsphinx's lattice search sometimes shrinks the silence at the start to one frame, and then
    # the alignment of phones fails.
    decoder = pocketsphinx().Decoder(loglevel="FATAL", lm=None, bestpath=False, **(_WIDE if is_wide else {}))
    for word, phones in pronunciations:
        if decoder.lookup_word(word) is not None:
            continue
        try:
            decoder.add_word(word, phones)
        except RuntimeError:
            raise InputError(
                f"pronunciations: {phones!r} of {word!r} has an unknown phone; use ARPABET without stress"
            ) from None
    return decoder


def _decode(decoder: Any, samples: bytes) -> None:
    decoder.start_utt()
    try:
        decoder.process_raw(samples, full_utt=True)
    finally:
        decoder.end_utt()


def _without_variant(word: str) -> str:
    """Remove the number of a pronunciation from a word; the dictionary has entries such as `a(2)`."""
    return _VARIANT.sub("", word)


def _with_phones(entry: Any) -> Word:
    phones = tuple(
        Phone(phone.name, phone.start * FRAME_S, (phone.start + phone.duration) * FRAME_S) for phone in entry
    )
    return Word(_without_variant(entry.name), entry.start * FRAME_S, (entry.start + entry.duration) * FRAME_S, phones)
