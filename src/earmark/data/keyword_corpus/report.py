"""Report of a keyword corpus: kept and dropped words, reasons and speed, as JSON and Markdown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earmark.core.files import write_json, write_text
from earmark.core.numbers import finite
from earmark.core.report import page, table

_LISTED = 30
_STEPS = (100, 50, 20, 10, 5, 2, 1)


@dataclass(frozen=True)
class Speed:
    """Speed of a stage in this run, without the results of earlier runs.

    Attributes:
        done: number of processed sentences or cuts.
        audio_s: duration of the processed audio.
        elapsed_s: wall time.
        cpu_s: CPU time of all processes together.
        workers: number of processes.
    """

    done: int
    audio_s: float
    elapsed_s: float
    cpu_s: float
    workers: int

    @property
    def times_real_time(self) -> float:
        """Seconds of audio per CPU second."""
        return self.audio_s / max(self.cpu_s, 1e-9)


@dataclass(frozen=True)
class KeywordReport:
    """Numbers of a run that makes a keyword corpus.

    Attributes:
        source: origin of the alignments, and settings.
        sentences: number of sentences.
        speakers: number of speakers of the sentences.
        audio_s: duration of the sentences.
        failures: number of sentences without aligned words, by reason.
        unknown: number of sentences with each word that the dictionary lacks, by word.
        aligned_words: number of aligned words.
        dropped: number of dropped words by reason, in the order of the rules.
        aligned: number of clips of each kept word before recognition.
        kept: number of clips of each kept word.
        val_words: kept words for validation.
        speech_s: duration of the kept words, without their neighbors.
        pairs: number of validation pairs.
        speed: speed of the stages `aligning` and `recognizing`, by stage.
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
        """Number of kept clips."""
        return sum(self.kept.values())


def write_report(report: KeywordReport, folder: Path) -> None:
    """Write `report.json` and `report.md`."""
    write_json(folder / "report.json", finite(asdict(report)), indent=1)
    write_text(folder / "report.md", as_markdown(report))


def summary(report: KeywordReport) -> str:
    """Describe the result in one line.

    >>> summary(KeywordReport({}, 1, 1, 2.0, {}, {}, 3, {}, {}, {"bear": 2}, (), 0.8))
    '2 clips of 1 word, 0.8 s of speech, from 3 aligned words of 1 sentence'
    """
    val = f" ({counted(len(report.val_words), 'word')} of them for validation)" if report.val_words else ""
    return (
        f"{counted(report.clips, 'clip')} of {counted(len(report.kept), 'word')}{val}, {spoken(report.speech_s)} of"
        f" speech, from {counted(report.aligned_words, 'aligned word')} of {counted(report.sentences, 'sentence')}"
    )


def as_markdown(report: KeywordReport) -> str:
    """The report as a Markdown page."""
    audio = f"{report.sentences:,} by {counted(report.speakers, 'speaker')}, {spoken(report.audio_s)}"
    settings = [
        *((name, str(value)) for name, value in report.source.items()),
        ("sentences", audio),
        *((f"sentences without words: {reason}", f"{count:,}") for reason, count in report.failures.items()),
    ]
    words = [
        ("aligned", f"{report.aligned_words:,}", ""),
        *(_share(reason, count, report) for reason, count in report.dropped.items() if count),
        _share("**kept**", report.clips, report),
    ]
    return page(
        "# A keyword corpus cut out of sentences",
        summary(report).capitalize() + ".",
        table(["setting", ""], settings),
        "## Kept, dropped, and why",
        "Each aligned word is counted in one row: by the first rule that drops it.",
        table(["", ">words", ">of aligned words"], words),
        _speeds(report),
        "## Words by their number of clips",
        table(["clips of a word", ">words", ">clips"], _steps(report.kept)),
        f"The {min(_LISTED, len(report.kept))} words with the most clips; after 'of', the number before recognition and"
        " draws:",
        _listed(report),
        f"Validation words: {', '.join(report.val_words)} ({report.pairs:,} pairs)." if report.val_words else "",
        _unknown(report),
    )


def counted(count: int, noun: str) -> str:
    """Format a number with its noun.

    >>> counted(1, "clip"), counted(1200, "clip")
    ('1 clip', '1,200 clips')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def spoken(seconds: float) -> str:
    """Format a duration in s, min or h.

    >>> spoken(8.25), spoken(600), spoken(7200)
    ('8.2 s', '10.0 min', '2.00 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"


def _share(name: str, count: int, report: KeywordReport) -> tuple[str, str, str]:
    return name, f"{count:,}", f"{100 * count / max(1, report.aligned_words):.1f} %"


def _speeds(report: KeywordReport) -> str:
    rows = [
        (
            name,
            f"{speed.done:,}",
            *map(spoken, (speed.audio_s, speed.elapsed_s, speed.cpu_s)),
            f"{speed.times_real_time:.1f}",
            f"{speed.workers}",
        )
        for name, speed in report.speed.items()
        if speed.done
    ]
    columns = [">done", ">audio", ">wall time", ">CPU time", ">× real time per core", ">processes"]
    return table(["stage, in this run", *columns], rows) if rows else ""


def _steps(kept: Mapping[str, int]) -> list[tuple[str, str, str]]:
    rows = []
    above = float("inf")
    for step in _STEPS:
        inside = [count for count in kept.values() if step <= count < above]
        name = f"{step} and more" if above == float("inf") else f"{step} to {above - 1:g}" if above - step > 1 else "1"
        if inside:
            rows.append((name, f"{len(inside):,}", f"{sum(inside):,}"))
        above = step
    return rows


def _listed(report: KeywordReport) -> str:
    words = sorted(report.kept, key=lambda word: (-report.kept[word], word))[:_LISTED]
    return ", ".join(f"{word} {report.kept[word]} of {report.aligned[word]}" for word in words) + "." * bool(words)


def _unknown(report: KeywordReport) -> str:
    if not report.unknown:
        return ""
    words = ", ".join(f"{word} ({count})" for word, count in list(report.unknown.items())[:_LISTED])
    more = len(report.unknown) - _LISTED
    return f"Words without pronunciation: {words}{f' and {more} others' if more > 0 else ''}."
