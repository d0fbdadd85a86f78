"""What became of the sentences that a keyword corpus was cut from: counts, reasons and speed, as JSON and Markdown."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earmark.core.numbers import finite

_LISTED = 30
_STEPS = (100, 50, 20, 10, 5, 2, 1)


@dataclass(frozen=True)
class Speed:
    """How long a part of the work took in this run; what an earlier run had done is not in it.

    Attributes:
        done: sentences or cuts of this run.
        audio_s: their sound.
        elapsed_s: on the clock.
        cpu_s: of all processes together; what other work on the machine takes is not in it.
        workers: processes.
    """

    done: int
    audio_s: float
    elapsed_s: float
    cpu_s: float
    workers: int

    @property
    def times_real_time(self) -> float:
        """Seconds of sound in one second of a core."""
        return self.audio_s / max(self.cpu_s, 1e-9)


@dataclass(frozen=True)
class KeywordReport:
    """What a run made.

    Attributes:
        source: where the sentences came from, and the options.
        sentences: of the source.
        speakers: who says them.
        audio_s: their sound.
        failures: reason to number of sentences without a word.
        unknown: words that the dictionary lacks, by number of sentences.
        aligned_words: words with a place.
        dropped: reason to number of words that became no clip, in the order in which the rules are applied.
        aligned: clips of each kept word before anybody listened again.
        kept: clips of each kept word.
        val_words: those of them that are for validation.
        speech_s: what is spoken in the kept clips, without their neighbors.
        pairs: lines of the list of validation pairs.
        speed: of `aligning` and `listening`.
    """

    source: Mapping[str, Any]
    sentences: int
    speakers: int
    audio_s: float
    failures: Mapping[str, int]
    unknown: Mapping[str, int]
    aligned_words: int
    dropped: Mapping[str, int]
    aligned: Mapping[str, int]
    kept: Mapping[str, int]
    val_words: tuple[str, ...]
    speech_s: float
    pairs: int = 0
    speed: Mapping[str, Speed] = field(default_factory=dict)

    @property
    def clips(self) -> int:
        """Clips that were kept."""
        return sum(self.kept.values())


def write_report(report: KeywordReport, folder: Path) -> None:
    """Write `report.json` and `report.md`."""
    text = json.dumps(finite(asdict(report)), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    (folder / "report.md").write_text(as_markdown(report), encoding="utf-8", newline="\n")


def summary(report: KeywordReport) -> str:
    """One line: what came out.

    >>> summary(KeywordReport({}, 1, 1, 2.0, {}, {}, 3, {}, {}, {"bear": 2}, (), 0.8))
    '2 clips of 1 word, 0.8 s of speech, from 3 aligned words of 1 sentence'
    """
    val = f" ({counted(len(report.val_words), 'word')} of them for validation)" if report.val_words else ""
    return (
        f"{counted(report.clips, 'clip')} of {counted(len(report.kept), 'word')}{val}, {spoken(report.speech_s)} of"
        f" speech, from {counted(report.aligned_words, 'aligned word')} of {counted(report.sentences, 'sentence')}"
    )


def as_markdown(report: KeywordReport) -> str:
    """The report as a page."""
    parts = [
        "# A keyword corpus cut out of sentences",
        "",
        summary(report).capitalize() + ".",
        "",
        "| how | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in report.source.items()),
        f"| sentences | {report.sentences:,} by {counted(report.speakers, 'speaker')}, {spoken(report.audio_s)} |",
        *(f"| without words: {reason} | {count:,} |" for reason, count in report.failures.items()),
        "",
        "## Kept, dropped, and why",
        "",
        "Each aligned word is in one row: the first rule that drops it counts it.",
        "",
        "| | words | of the aligned |",
        "|---|---:|---:|",
        f"| aligned | {report.aligned_words:,} | |",
        *(_share(reason, count, report) for reason, count in report.dropped.items() if count),
        _share("**kept**", report.clips, report),
        "",
        *_speeds(report),
        "## Words by their number of clips",
        "",
        "| clips of a word | words | clips |",
        "|---|---:|---:|",
        *_steps(report.kept),
        "",
        f"The {min(_LISTED, len(report.kept))} words with the most clips, of how many that could have been kept:",
        "",
        *(_listed(report)),
    ]
    if report.val_words:
        parts += ["", f"Validation words: {', '.join(report.val_words)} ({report.pairs:,} pairs)."]
    if report.unknown:
        unknown = ", ".join(f"{word} ({count})" for word, count in list(report.unknown.items())[:_LISTED])
        more = len(report.unknown) - _LISTED
        parts += ["", f"Words without pronunciation: {unknown}{f' and {more} others' if more > 0 else ''}."]
    return "\n".join(parts) + "\n"


def counted(count: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "clip"), counted(1200, "clip")
    ('1 clip', '1,200 clips')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def spoken(seconds: float) -> str:
    """A duration for people.

    >>> spoken(8.25), spoken(600), spoken(7200)
    ('8.2 s', '10.0 min', '2.00 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"


def _share(name: str, count: int, report: KeywordReport) -> str:
    return f"| {name} | {count:,} | {100 * count / max(1, report.aligned_words):.1f} % |"


def _speeds(report: KeywordReport) -> list[str]:
    rows = [
        f"| {name} | {speed.done:,} | {spoken(speed.audio_s)} | {spoken(speed.elapsed_s)} | {spoken(speed.cpu_s)}"
        f" | {speed.times_real_time:.1f} | {speed.workers} |"
        for name, speed in report.speed.items()
        if speed.done
    ]
    head = [
        "| in this run | done | their sound | on the clock | on cores | × real time a core | processes |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return [*head, *rows, ""] if rows else []


def _steps(kept: Mapping[str, int]) -> list[str]:
    rows = []
    above = float("inf")
    for step in _STEPS:
        inside = [count for count in kept.values() if step <= count < above]
        name = f"{step} and more" if above == float("inf") else f"{step} to {above - 1:g}" if above - step > 1 else "1"
        if inside:
            rows.append(f"| {name} | {len(inside):,} | {sum(inside):,} |")
        above = step
    return rows


def _listed(report: KeywordReport) -> list[str]:
    words = sorted(report.kept, key=lambda word: (-report.kept[word], word))[:_LISTED]
    told = (f"{word} {report.kept[word]} of {report.aligned[word]}" for word in words)
    return [", ".join(told) + "."] if words else []
