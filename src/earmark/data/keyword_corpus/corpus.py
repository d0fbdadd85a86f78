"""Make a keyword corpus from sentences with transcripts: align, cut, confirm by recognition, choose words, write."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import Field

from earmark.core.audio import read, write
from earmark.core.config import Settings
from earmark.core.errors import EarmarkError, InputError
from earmark.core.progress import Progress, no_progress
from earmark.data.alignment.forced import (
    UNKNOWN,
    Alignment,
    Pronunciations,
    align_sentences,
    excerpt,
    read_pronunciations,
    spoken_words,
)
from earmark.data.alignment.formats import Alignments, read_alignments
from earmark.data.alignment.recognition import Recognizer, corpus_recognizer, read_hypotheses, recognize
from earmark.data.draws import PairSizes, draw_word_pairs
from earmark.data.keyword_corpus.cuts import (
    CutRules,
    Dropped,
    WordCut,
    choose_words,
    confirm_cuts,
    cut_words,
    enough_clips,
    file_name,
    sentence_ends,
    tight,
)
from earmark.data.keyword_corpus.report import KeywordReport, Speed, write_report
from earmark.data.lists.clip_lists import ClipPair, write_pairs
from earmark.data.manifest import SUFFIXES, Clip, Manifest, write_manifest
from earmark.data.parallel import map_parallel

CutRecognizer = Literal["corpus", "english"] | Mapping[str, Sequence[str]] | None
"""Language model of `earmark.data.alignment.recognition`, or recognized words by name of the cut, or None."""

TIGHT = "tight"
"""Stem of the manifest of the words alone."""

# Number of anchors per word, and of clips of each other word per anchor, as published for LibriSpeech Keywords.
ANCHORS, NEGATIVES = 10, 30


@dataclass(frozen=True)
class Sources:
    """Sources of the aligned and of the recognized words of a keyword corpus.

    Attributes:
        alignments: alignments of another tool; None to align with pocketsphinx.
        recognizer: recognizer that confirms the cuts; None keeps all cuts.
        phones: whether pocketsphinx also aligns phones.
        pronunciations: pronunciations of words that pocketsphinx's dictionary lacks.
    """

    alignments: Alignments | None = None
    recognizer: CutRecognizer = "corpus"
    phones: bool = False
    pronunciations: Pronunciations = ()


class SourceSettings(Settings):
    """Settings of alignment and recognition, with the files to read."""

    alignments: Path | None = Field(
        None,
        description="Alignments of the sentences: a folder of TextGrids, or a .ctm, .json or .jsonl file; pocketsphinx "
        "aligns if not given.",
    )
    pronunciations: Path | None = Field(None, description="Words that the dictionary lacks, lines WORD PH ON ES.")
    phones: bool = Field(False, description="Also align phones.")
    recognizer: Literal["corpus", "english", "none"] = Field(
        "corpus",
        description="Keep a cut only if pocketsphinx recognizes its word, with a language model of these sentences "
        "(corpus) or of English text (english, slow); none keeps all cuts.",
    )
    hypotheses: Path | None = Field(
        None, description="Words that another recognizer found in the cuts, to use instead: .ctm, .json or .jsonl."
    )

    def read(self) -> Sources:
        """Read the files that the settings name.

        Raises:
            InputError: a file is missing or has another format, or `hypotheses` is given with the recognizer none.
        """
        recognizer: CutRecognizer = None if self.recognizer == "none" else self.recognizer
        if self.hypotheses is not None:
            if recognizer is None:
                raise InputError(
                    "recognizer 'none' uses no hypotheses; choose another recognizer, or leave hypotheses out",
                    key="hypotheses",
                )
            recognizer = read_hypotheses(self.hypotheses)
        return Sources(
            alignments=read_alignments(self.alignments) if self.alignments else None,
            recognizer=recognizer,
            phones=self.phones,
            pronunciations=read_pronunciations(self.pronunciations) if self.pronunciations else (),
        )


@dataclass(frozen=True)
class _Selection:
    """The chosen cuts of a corpus.

    Attributes:
        train: cuts of the words for training.
        val: cuts of the words for validation.
        dropped: number of dropped words by reason.
        aligned: number of cuts by word before recognition.
    """

    train: Sequence[WordCut]
    val: Sequence[WordCut]
    dropped: Dropped
    aligned: Mapping[str, int]

    @property
    def cuts(self) -> list[WordCut]:
        return [*self.train, *self.val]


def cut_keywords(
    manifest: Manifest,
    out: Path,
    rules: CutRules,
    sources: Sources | None = None,
    *,
    write_audio: bool = False,
    workers: int = 1,
    progress: Progress = no_progress,
) -> KeywordReport:
    """Make a keyword corpus from sentences.

    The folder of `out` also gets `alignments.jsonl`, `hypotheses.jsonl`, `report.json` and `report.md`. Unless
    `length_s` is 0, it gets a second manifest, `tight`, of the words alone. With validation words, it gets
    `val_pairs.txt`, and the validation clips as files in `clips`. The two .jsonl files are checkpoint logs, with which
    an interrupted run continues.

    Args:
        manifest: sentences, with their transcripts in the column `text`.
        out: manifest of the cuts, .tsv or .parquet; its paths are those of the recordings of the sentences.
        rules: which words are cut and kept.
        sources: alignment and recognition.
        write_audio: also write each cut to `clips/WORD/NAME.flac`.
        workers: number of processes.
        progress: called after each sentence, cut and written file.

    Raises:
        InputError: no sentence has a text, a file is missing, alignments or hypotheses are of other recordings, or
            there are fewer words than requested.
        EarmarkError: no clip is left.
    """
    sources = sources or Sources()
    _check_input(manifest, out, rules, sources)
    ends_s = sentence_ends(manifest)
    audio_s = sum(end_s - clip.start_s for clip, end_s in zip(manifest, ends_s, strict=True))
    stages = _Stages(out.parent, sources, workers, progress)
    alignments = stages.align(manifest, audio_s)
    chosen = _select(manifest, ends_s, alignments, rules, stages)
    _check_selection(chosen, alignments, out)
    _write_manifests(chosen.train, chosen.val, rules, out)
    stages.write_clips(chosen.cuts if write_audio else chosen.val, chosen.val, out.suffix)
    kept = Counter(cut.label for cut in chosen.cuts)
    report = KeywordReport(
        source=_source(rules, sources),
        sentences=len(manifest),
        speakers=len({clip.speaker for clip in manifest} - {""}),
        audio_s=audio_s,
        failures=_failures(alignments),
        unknown=_unknown(alignments),
        aligned_words=sum(len(alignment.words) for alignment in alignments),
        dropped=dict(chosen.dropped),
        aligned={word: chosen.aligned[word] for word in kept},
        kept=dict(kept.most_common()),
        val_words=tuple(sorted({cut.label for cut in chosen.val})),
        speech_s=sum(cut.word.end_s - cut.word.start_s for cut in chosen.cuts),
        pairs=_write_val_pairs(chosen.val, out.parent / "val_pairs.txt", rules.seed),
        speed=stages.speed,
    )
    write_report(report, out.parent)
    return report


def _check_input(manifest: Manifest, out: Path, rules: CutRules, sources: Sources) -> None:
    """Check the sentences and the name of the output manifest before hours of work."""
    if not any(spoken_words(clip.text) for clip in manifest) and sources.alignments is None:
        raise InputError(
            "no sentence has a text; choose label if the transcripts are in the column label", key="text_from"
        )
    if out.suffix not in SUFFIXES:
        raise InputError(f"{out}: not a manifest; use the suffix {' or '.join(SUFFIXES)}", key="out")
    if out.stem == TIGHT and rules.length_s:
        raise InputError(
            f"{out} is the name of the second manifest, of the words alone; choose another name",
            key="out",
        )


def _check_selection(chosen: _Selection, alignments: Sequence[Alignment], out: Path) -> None:
    if not chosen.train:
        reasons = _reasons(_failures(alignments), chosen.dropped)
        raise EarmarkError(f"{out}: no clip is left: {reasons}; relax these rules")


def _select(
    manifest: Manifest,
    ends_s: Sequence[float],
    alignments: Sequence[Alignment],
    rules: CutRules,
    stages: "_Stages",
) -> _Selection:
    """Cut words out of sentences, confirm the cuts by recognition, and choose cuts for training and validation."""
    cuts, dropped = cut_words(manifest, ends_s, alignments, rules)
    # Words that have too few cuts already need no recognition.
    cuts, rare = enough_clips(cuts, rules, "too few aligned clips of the word")
    aligned = Counter(cut.label for cut in cuts)
    unconfirmed: Dropped = Counter()
    if cuts and stages.sources.recognizer is not None:
        cuts, unconfirmed = confirm_cuts(cuts, stages.recognize(cuts, alignments), rules)
    cuts, rare_now = enough_clips(cuts, rules, "too few clips of the word left")
    train, val, not_chosen = choose_words(cuts, rules)
    return _Selection(train, val, dropped + rare + unconfirmed + rare_now + not_chosen, aligned)


@dataclass(frozen=True)
class _Stages:
    """Runs the slow stages: alignment, recognition, and writing of clips.

    Alignment and recognition continue where an earlier run stopped, and their speed is measured.
    """

    folder: Path
    sources: Sources
    workers: int
    progress: Progress
    speed: dict[str, Speed] = field(default_factory=dict)

    def align(self, manifest: Manifest, audio_s: float) -> list[Alignment]:
        if self.sources.alignments is not None:
            return self.sources.alignments.of(manifest)
        with self._timed("aligning", audio_s / len(manifest)) as progress:
            return align_sentences(
                manifest,
                self.folder / "alignments.jsonl",
                phones=self.sources.phones,
                pronunciations=self.sources.pronunciations,
                workers=self.workers,
                progress=progress,
            )

    def recognize(
        self, cuts: Sequence[WordCut], alignments: Sequence[Alignment]
    ) -> Callable[[WordCut], Sequence[str] | None]:
        """Recognize all cuts; return a function from a cut to its words, or to None if it was not recognized."""
        choice = self.sources.recognizer
        if isinstance(choice, Mapping):
            if not any(cut.name in choice for cut in cuts):
                names = ", ".join(cut.name for cut in cuts[:2])
                raise InputError(
                    f"no hypothesis has the name of a cut; use the names of the cuts, such as {names}",
                    key="hypotheses",
                )
            return lambda cut: choice.get(cut.name)
        recognizer = Recognizer()
        if choice == "corpus":
            counts = Counter(word.text for alignment in alignments for word in alignment.words)
            recognizer = corpus_recognizer(counts, self.folder, self.sources.pronunciations)
        spans = [(cut.clip.path, cut.start_s, cut.end_s) for cut in cuts]
        mean_s = sum(end_s - start_s for _, start_s, end_s in spans) / max(1, len(spans))
        with self._timed("recognizing", mean_s) as progress:
            log = self.folder / "hypotheses.jsonl"
            found = recognize(spans, recognizer, log, workers=self.workers, progress=progress)
        by_name = {cut.name: words for cut, words in zip(cuts, found, strict=True)}
        return lambda cut: by_name[cut.name]

    def write_clips(self, cuts: Sequence[WordCut], val: Sequence[WordCut], suffix: str) -> None:
        """Write all cuts as audio files, and a manifest of them with this suffix; cuts in `val` get the split val."""
        if not cuts:
            return
        folder = self.folder / "clips"
        by_file = [list(group) for _, group in groupby(sorted(cuts, key=_place), key=lambda cut: cut.clip.path)]
        done = 0
        for count in map_parallel(partial(_write_file, folder=folder), by_file, self.workers):
            done += count
            self.progress("writing", done, len(cuts))
        for_val = {cut.name for cut in val}
        clips = (
            Clip(audio_path(cut), 0.0, None, cut.clip.speaker, cut.label, _split(cut, cut.name in for_val), cut.label)
            for cut in cuts
        )
        write_manifest(Manifest(tuple(clips), folder), folder / f"manifest{suffix}")

    @contextmanager
    def _timed(self, stage: str, mean_s: float) -> Iterator[Progress]:
        """Measure the speed of a stage whose items last `mean_s` s on average; yield the callback for its progress."""
        started, cpu_s, finished = time.monotonic(), _cpu_s(), 0
        first: float | None = None

        def progress(name: str, done: float, total: float | None) -> None:
            nonlocal first, finished
            first = done if first is None else first
            finished = int(done - first)
            self.progress(name, done, total)

        yield progress
        elapsed_s = time.monotonic() - started
        self.speed[stage] = Speed(finished, finished * mean_s, elapsed_s, _cpu_s() - cpu_s, self.workers)


def _cpu_s() -> float:
    """CPU time of this process and of its finished children."""
    return sum(os.times()[:4])


def audio_path(cut: WordCut) -> str:
    """Path of the audio file of a cut, relative to the folder of clips."""
    return f"{file_name(cut.label)}/{cut.name}.flac"


def _write_file(cuts: Sequence[WordCut], *, folder: Path) -> int:
    """Write the cuts of one recording as audio files; return their number."""
    wave = read(cuts[0].clip.path)
    for cut in cuts:
        place = folder / audio_path(cut)
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, excerpt(wave, cut.start_s, cut.end_s))
    return len(cuts)


def _write_manifests(train: Sequence[WordCut], val: Sequence[WordCut], rules: CutRules, out: Path) -> None:
    """Write the manifest of the cuts, and beside it the manifest of the words alone."""
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
    """Write pairs of validation clips, half of them of one word if there are enough clips; return their number."""
    # Pairs of an earlier run do not belong to this run.
    path.unlink(missing_ok=True)
    if not val:
        return 0
    words: dict[str, list[Clip]] = {}
    for cut in val:
        words.setdefault(cut.label, []).append(Clip(audio_path(cut), label=cut.label))
    fewest, others = min(map(len, words.values())), len(words) - 1
    if fewest < 2:
        raise InputError(
            "a validation word has only one clip, but a pair needs two; raise min_clips to 2",
            key="val_words",
        )
    negatives = max(1, min(NEGATIVES, (fewest - 1) // others))
    positives = min(fewest - 1, negatives * others)
    sizes = PairSizes(anchors=min(ANCHORS, fewest), positives=positives, negatives=negatives, seed=seed)
    drawn = draw_word_pairs(words, list(words), sizes)
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
    """Number of sentences without aligned words, by reason; details after the colon are dropped."""
    return dict(Counter(a.failure.partition(":")[0] for a in alignments if a.failure).most_common())


def _unknown(alignments: Sequence[Alignment]) -> dict[str, int]:
    """Number of sentences with each word that the dictionary lacks, by word."""
    lists = (a.failure.partition(": ")[2] for a in alignments if a.failure.startswith(UNKNOWN))
    return dict(Counter(word for words in lists for word in words.split(", ")).most_common())


def _reasons(*counts: Mapping[str, int]) -> str:
    reasons = [f"{reason} ({count})" for part in counts for reason, count in part.items() if count]
    return ", ".join(reasons) or "the sentences have no words"


def _source(rules: CutRules, sources: Sources) -> dict[str, str]:
    """Describe alignment, recognizer and rules for the report: text by name."""
    match sources.recognizer:
        case None:
            recognizer = "none"
        case "corpus":
            recognizer = "pocketsphinx, words of these sentences"
        case "english":
            recognizer = "pocketsphinx, English text"
        case _:
            recognizer = "given hypotheses"
    source = {
        "aligned by": str(sources.alignments.source.name) if sources.alignments else "pocketsphinx",
        "confirmed by": recognizer,
    }
    for name, value in rules.model_dump(exclude={"seed"}).items():
        if value is not None:
            source[name] = f"{len(value)} words" if isinstance(value, frozenset) else f"{value:g}"
    return source
