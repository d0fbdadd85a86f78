"""From sentences with transcripts to a keyword corpus: align, cut, listen again, choose, write."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from earmark.core.audio import read, write
from earmark.core.errors import EarmarkError, InputError
from earmark.data.alignment.forced import (
    UNKNOWN,
    Alignment,
    Pronunciations,
    align_sentences,
    excerpt,
    spoken_words,
)
from earmark.data.alignment.formats import Alignments
from earmark.data.alignment.recognition import Recognizer, corpus_recognizer, recognize
from earmark.data.draws import draw_pairs
from earmark.data.keyword_corpus.cuts import (
    CutRules,
    Dropped,
    WordCut,
    choose_words,
    cut_words,
    enough_clips,
    file_name,
    option_of,
    said_as_labeled,
    sentence_ends,
    tight,
)
from earmark.data.keyword_corpus.report import KeywordReport, Speed, write_report
from earmark.data.lists.clip_lists import ClipPair, write_pairs
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.data.parallel import map_parallel

Listener = Literal["corpus", "english"] | Mapping[str, Sequence[str]] | None
"""How cuts are recognized: a language model of `earmark.data.alignment.recognition`, words by cut name, or none."""
OnProgress = Callable[[str, int, int], None]
"""Called with a stage and the number of its finished and of all items."""

TIGHT, SUFFIXES = "tight", (".parquet", ".tsv")
# As published for LibriSpeech Keywords: anchors of a word, and clips of each other word beside an anchor.
ANCHORS, NEGATIVES = 10, 30


@dataclass(frozen=True)
class Sources:
    """What a keyword corpus is made with, beside the rules.

    Attributes:
        alignments: where the words are; None to align with pocketsphinx.
        listener: what hears the cuts again.
        phones: whether pocketsphinx also says where each phone is.
        pronunciations: of words that pocketsphinx's dictionary lacks.
    """

    alignments: Alignments | None = None
    listener: Listener = "corpus"
    phones: bool = False
    pronunciations: Pronunciations = ()


def cut_keywords(
    manifest: Manifest,
    out: Path,
    rules: CutRules,
    sources: Sources | None = None,
    *,
    write_audio: bool = False,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> KeywordReport:
    """Make a keyword corpus of sentences.

    Beside `out` are written: `tight` (the words alone, with the suffix of `out`; not when the cuts are that already),
    `alignments.jsonl`, `hypotheses.jsonl`, `report.json` and `report.md`, and for validation words their clips as
    files in `clips` and `val_pairs.txt`. The two .jsonl files keep what is done, so a killed run goes on.

    Args:
        manifest: sentences, what is said in the column `text`.
        out: the manifest of cuts to write, .tsv or .parquet; paths lead to the files of the sentences.
        rules: what is cut and what stays.
        sources: where words are, and what hears them.
        write_audio: also write every cut to `clips/WORD/NAME.flac`.
        workers: processes.
        on_progress: told how far each stage is.

    Raises:
        InputError: no sentence has a text, a file is missing, alignments or hypotheses of other recordings, or fewer
            words than asked for.
        EarmarkError: no clip is left.
    """
    sources = sources or Sources()
    told = on_progress or (lambda *_: None)
    if not any(spoken_words(clip.text) for clip in manifest) and sources.alignments is None:
        raise InputError("no sentence has a text; if it stands in the column label, say --text-from label")
    if out.suffix not in SUFFIXES:
        # Told now, not after hours of work.
        raise InputError(f"{out}: a manifest is {' or '.join(SUFFIXES)}")
    if out.stem == TIGHT and rules.length_s:
        raise InputError(f"{out}: the words alone are written there; name the manifest of the cuts otherwise")
    ends_s = sentence_ends(manifest)
    audio_s = sum(end_s - clip.start_s for clip, end_s in zip(manifest, ends_s, strict=True))
    work = _Work(out.parent, sources, workers, told, {})
    alignments = work.align(manifest, audio_s)
    cuts, dropped = cut_words(manifest, ends_s, alignments, rules)
    # A word that has too few cuts already need not be listened to.
    cuts, rare = enough_clips(cuts, rules, "too few aligned clips of the word")
    given = Counter(cut.label for cut in cuts)
    unheard: Dropped = Counter()
    if cuts and sources.listener is not None:
        cuts, unheard = said_as_labeled(cuts, work.listen(cuts, alignments), rules)
    cuts, rare_now = enough_clips(cuts, rules, "too few clips of the word left")
    train, val, unwanted = choose_words(cuts, rules)
    dropped = dropped + rare + unheard + rare_now + unwanted
    if not train:
        raise EarmarkError(f"{out}: no clip is left: {_reasons(_failures(alignments), dropped)}")
    _write_manifests(train, val, rules, out)
    work.write_clips([*train, *val] if write_audio else val, val, out.suffix)
    kept = Counter(cut.label for cut in [*train, *val])
    report = KeywordReport(
        source=_source(rules, sources),
        sentences=len(manifest),
        speakers=len({clip.speaker for clip in manifest} - {""}),
        audio_s=audio_s,
        failures=_failures(alignments),
        unknown=_unknown(alignments),
        aligned_words=sum(len(alignment.words) for alignment in alignments),
        dropped=dict(dropped),
        aligned={word: given[word] for word in kept},
        kept=dict(kept.most_common()),
        val_words=tuple(sorted({cut.label for cut in val})),
        speech_s=sum(cut.word.end_s - cut.word.start_s for cut in [*train, *val]),
        pairs=_write_val_pairs(val, out.parent / "val_pairs.txt", rules.seed),
        speed=work.speed,
    )
    write_report(report, out.parent)
    return report


@dataclass(frozen=True)
class _Work:
    """The parts that take long: each goes on where an earlier run stopped, and tells how far it is."""

    folder: Path
    sources: Sources
    workers: int
    told: OnProgress
    speed: dict[str, Speed]

    def align(self, manifest: Manifest, audio_s: float) -> list[Alignment]:
        if self.sources.alignments is not None:
            return self.sources.alignments.of(manifest)
        with self._timed("aligning", audio_s / len(manifest)) as count:
            return align_sentences(
                manifest,
                self.folder / "alignments.jsonl",
                phones=self.sources.phones,
                pronunciations=self.sources.pronunciations,
                workers=self.workers,
                on_sentence=count,
            )

    def listen(
        self, cuts: Sequence[WordCut], alignments: Sequence[Alignment]
    ) -> Callable[[WordCut], Sequence[str] | None]:
        """What is heard in a cut."""
        listener = self.sources.listener
        if isinstance(listener, Mapping):
            if not any(cut.name in listener for cut in cuts):
                raise InputError(
                    f"--hypotheses: none is of the cuts, which are called {', '.join(cut.name for cut in cuts[:2])} …"
                )
            return lambda cut: listener.get(cut.name)
        if listener == "corpus":
            said = Counter(word.text for alignment in alignments for word in alignment.words)
            recognizer = corpus_recognizer(said, self.folder, self.sources.pronunciations)
        else:
            recognizer = Recognizer()
        places = [(cut.clip.path, cut.start_s, cut.end_s) for cut in cuts]
        mean_s = sum(end_s - start_s for _, start_s, end_s in places) / max(1, len(places))
        with self._timed("listening", mean_s) as count:
            heard = recognize(places, recognizer, self.folder / "hypotheses.jsonl", workers=self.workers, on_cut=count)
        by_name = {cut.name: words for cut, words in zip(cuts, heard, strict=True)}
        return lambda cut: by_name[cut.name]

    def write_clips(self, cuts: Sequence[WordCut], val: Sequence[WordCut], suffix: str) -> None:
        """Write cuts as files, and a manifest of the files."""
        if not cuts:
            return
        folder = self.folder / "clips"
        by_file = [list(group) for _, group in groupby(sorted(cuts, key=_place), key=lambda cut: cut.clip.path)]
        done = 0
        for count in map_parallel(partial(_write_file, folder=folder), by_file, self.workers):
            done += count
            self.told("writing", done, len(cuts))
        for_val = {cut.name for cut in val}
        clips = (
            Clip(audio_path(cut), 0.0, None, cut.clip.speaker, cut.label, _split(cut, cut.name in for_val), cut.label)
            for cut in cuts
        )
        write_manifest(Manifest(tuple(clips), folder), folder / f"manifest{suffix}")

    @contextmanager
    def _timed(self, stage: str, mean_s: float) -> Iterator[Callable[[int, int], None]]:
        started, cpu_s, done = time.monotonic(), _cpu_s(), 0

        def count(finished: int, total: int) -> None:
            nonlocal done
            done += 1
            self.told(stage, finished, total)

        yield count
        self.speed[stage] = Speed(done, done * mean_s, time.monotonic() - started, _cpu_s() - cpu_s, self.workers)


def _cpu_s() -> float:
    """What this process and those that it waited for have taken."""
    return sum(os.times()[:4])


def audio_path(cut: WordCut) -> str:
    """Where a cut is written, below the folder of clips."""
    return f"{file_name(cut.label)}/{cut.name}.flac"


def _write_file(cuts: Sequence[WordCut], *, folder: Path) -> int:
    """Write the cuts of one file; returns how many."""
    wave = read(cuts[0].clip.path)
    for cut in cuts:
        place = folder / audio_path(cut)
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, excerpt(wave, cut.start_s, cut.end_s))
    return len(cuts)


def _write_manifests(train: Sequence[WordCut], val: Sequence[WordCut], rules: CutRules, out: Path) -> None:
    """Write the cuts, and the words alone beside them."""
    cuts = sorted([(cut, False) for cut in train] + [(cut, True) for cut in val], key=lambda item: _place(item[0]))

    def clip(cut: WordCut, is_val: bool, times: tuple[float, float]) -> Clip:
        split = _split(cut, is_val)
        return replace(cut.clip, start_s=times[0], end_s=times[1], label=cut.label, text=cut.label, split=split)

    wide = tuple(clip(cut, is_val, (cut.start_s, cut.end_s)) for cut, is_val in cuts)
    write_manifest(Manifest(wide), out)
    if rules.length_s:
        alone = tuple(clip(cut, is_val, tight(cut.word, rules.margin_s, _bounds(cut))) for cut, is_val in cuts)
        write_manifest(Manifest(alone), out.with_stem(TIGHT))


def _write_val_pairs(val: Sequence[WordCut], path: Path, seed: int) -> int:
    """Write pairs of validation clips, as many of one word as of two where there are enough; returns their number."""
    # Pairs of an earlier run would be taken for pairs of this one.
    path.unlink(missing_ok=True)
    if not val:
        return 0
    words: dict[str, list[Clip]] = {}
    for cut in val:
        words.setdefault(cut.label, []).append(Clip(audio_path(cut), label=cut.label))
    fewest, others = min(map(len, words.values())), len(words) - 1
    if fewest < 2:
        raise InputError("--val-words: a validation word has a single clip, which makes no pair; raise --least-clips")
    negatives = max(1, min(NEGATIVES, (fewest - 1) // others))
    positives = min(fewest - 1, negatives * others)
    drawn = draw_pairs(
        words, list(words), seed=seed, anchors=min(ANCHORS, fewest), positives=positives, negatives=negatives
    )
    pairs = [ClipPair(is_same, first.path, second.path) for is_same, first, second in drawn]
    write_pairs(pairs, path)
    return len(pairs)


def _split(cut: WordCut, is_val: bool) -> str:
    return "val" if is_val else cut.clip.split or "train"


def _place(cut: WordCut) -> tuple[str, float]:
    return cut.clip.path, cut.word.start_s


def _bounds(cut: WordCut) -> tuple[float, float]:
    return cut.clip.start_s, cut.clip.end_s or cut.word.end_s


def _failures(alignments: Sequence[Alignment]) -> dict[str, int]:
    """Sentences without words, by reason; the details behind the colon are left to `unknown`."""
    return dict(Counter(a.failure.partition(":")[0] for a in alignments if a.failure).most_common())


def _unknown(alignments: Sequence[Alignment]) -> dict[str, int]:
    lists = (a.failure.partition(": ")[2] for a in alignments if a.failure.startswith(UNKNOWN))
    return dict(Counter(word for words in lists for word in words.split(", ")).most_common())


def _reasons(*counts: Mapping[str, int]) -> str:
    told = [f"{reason} ({count})" for part in counts for reason, count in part.items() if count]
    return ", ".join(told) or "the sentences have no words"


def _source(rules: CutRules, sources: Sources) -> dict[str, str]:
    """The options in words."""
    match sources.listener:
        case None:
            listener = "nobody"
        case "corpus":
            listener = "pocketsphinx, words of these sentences"
        case "english":
            listener = "pocketsphinx, English text"
        case _:
            listener = "given hypotheses"
    told = {
        "aligned by": str(sources.alignments.source.name) if sources.alignments else "pocketsphinx",
        "listened again by": listener,
    }
    for name, value in asdict(rules).items():
        if value is not None and name != "seed":
            told[option_of(name)] = f"{len(value)} words" if isinstance(value, frozenset) else f"{value:g}"
    return told
