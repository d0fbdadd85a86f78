"""Wake words, phrases and short words in streams: misses, false alarms, order of words, delay.

    python benchmarks/streams.py [--half choose] [--data ../shared/data] [--prompts DIR]

Each wake word is enrolled with five takes of mixed voices, three times; its other clips follow other speech. Phrases of
two words are tested with the second word first, with one word alone, and with a wrong word. False alarms are counted in
speech of other voices, in speech over noise and music, and in household noise. No tested voice sets a threshold: the
benchmark uses every second test speaker of speechocean762 and every second clip of ESC-10.

DIR contains one folder per language with the .g722 files of Debian's packages asterisk-core-sounds-*-g722, unpacked;
they and --conditions need FFmpeg, --reference needs livekit-wakeword and onnx. The streams are kept in --streams and do
not depend on the code that is measured. Keywords are enrolled, scored and detected with the public functions of earmark
only. Run the script of one commit with another one's PYTHONPATH to compare both. The script writes
benchmarks/results/streams.md, streams.json and streams.png.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from page import options_parser, write_page
from streams_measures import (
    KINDS,
    RATES,
    ROLES,
    TARGETS,
    Interval,
    Outcome,
    missed_at,
    missed_by_detector,
    outcomes,
    pooled_rate,
    rates,
    share,
    targets,
)
from streams_page import plot, render
from streams_runs import Trial, enroll_phrases, enroll_words, run
from streams_sets import BACKGROUND, Corpora, StreamSet, stream_sets

from earmark import __version__
from earmark.core.files import write_json


def main() -> None:
    """Make the streams, run the detector, and write the page."""
    parser = options_parser(__doc__, "streams.md")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora and trials/")
    parser.add_argument("--prompts", type=Path, help="folder of spoken prompts in G.722, one folder per language")
    parser.add_argument("--half", choices=("choose", "report"), default="choose", help="settle everything on choose")
    parser.add_argument("--streams", type=Path, default=Path("data/streams"), help="folder in which streams are kept")
    parser.add_argument("--share", type=float, default=1.0, help="share of the audio that is used, for a quick run")
    parser.add_argument("--conditions", action="store_true", help="test wake words in noise, at other tempos, … too")
    parser.add_argument("--reference", action="store_true", help="measure the mean of speech_embedding too")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    corpora = Corpora(options.data, options.prompts, options.half, options.share)

    began = time.perf_counter()
    sets = stream_sets(corpora, options.streams, with_conditions=options.conditions)
    trials = [
        *enroll_words(corpora, "wake_words", "wake words", draws=3),
        *enroll_phrases(corpora),
        *enroll_words(corpora, "speech_commands_test", "short words", draws=1),
    ]
    print(f"{len(trials)} keywords enrolled, {time.perf_counter() - began:.0f} s", flush=True)
    found = outcomes(sets, trials, run(sets, trials, options.workers))
    by_kind = {kind: [outcome for outcome in found if outcome.trial.kind == kind] for kind in KINDS}
    numbers = measure(by_kind, [name for name in sets if name.startswith("wake words, ")])
    if options.reference:
        numbers["reference"] = reference(sets, trials, options.workers)
    title = f"Half `{options.half}`, earmark {__version__}"
    write_page(options.out, "\n".join(render(title, numbers, trials, sets)))
    write_json(options.out.with_suffix(".json"), numbers, indent=1)
    plot(by_kind, options.out.with_suffix(".png"), title)
    print(f"{time.perf_counter() - began:.0f} s in all", flush=True)


def measure(by_kind: dict[str, list[Outcome]], conditions: Sequence[str]) -> dict[str, Any]:
    """All numbers of the page; `conditions` are the sets of wake words under a condition."""
    every = [outcome for found in by_kind.values() for outcome in found]
    return {
        "misses": {kind: misses(found, kind) for kind, found in by_kind.items()},
        "words": {kind: words(found, kind) for kind, found in by_kind.items()},
        "false alarms": {
            name: false_alarms(every, kinds)
            for name, kinds in (("all but noise", BACKGROUND), *((kind, (kind,)) for kind in BACKGROUND))
        },
        "false alarms by kind": {kind: false_alarms(found, BACKGROUND) for kind, found in by_kind.items()},
        "noise": noise(every),
        "phrases": phrases(by_kind["phrases"]),
        "times": times(by_kind["wake words"]),
        "hard negatives": hard_negatives(by_kind["wake words"]),
        "conditions": {name.split(", ", 1)[1]: misses(by_kind["wake words"], name) for name in conditions},
    }


def misses(found: Sequence[Outcome], streams: str) -> dict[str, Interval]:
    """Share of missed words of a set, at the default settings and at the best thresholds."""
    return {
        "default": share(found, missed_by_detector, TARGETS, streams),
        **{f"{rate:g}/h": share(found, missed_at(rate), TARGETS, streams) for rate in RATES},
    }


def reference(sets: dict[str, StreamSet], trials: Sequence[Trial], workers: int) -> dict[str, dict[str, Interval]]:
    """Misses of the mean of speech_embedding at its best thresholds, for the same takes and streams."""
    from streams_reference import run_reference

    found = outcomes(sets, trials, run_reference(sets, trials, workers))
    names = {kind: kind for kind in KINDS} | {name: "wake words" for name in sets if name.startswith("wake words, ")}
    return {
        name: {
            key: value
            for key, value in misses([outcome for outcome in found if outcome.trial.kind == kind], name).items()
            if key != "default"
        }
        for name, kind in names.items()
    }


def words(found: Sequence[Outcome], kind: str) -> dict[str, dict[str, float]]:
    """Misses and false alarms of each word."""
    table = {}
    for label in sorted({outcome.trial.label for outcome in found}):
        own = [outcome for outcome in found if outcome.trial.label == label]
        missed = {name: value for name, (value, _, _) in misses(own, kind).items()}
        sources = {clip.place.source for outcome in own for clip in targets(outcome)}
        table[label] = {**missed, "false alarms/h": pooled_rate(own, BACKGROUND)[0], "clips": len(sources)}
    return table


def false_alarms(found: Sequence[Outcome], kinds: Sequence[str]) -> dict[str, Any]:
    """Measured beside asked false alarms per keyword-hour at the default settings."""
    own = {name: rate for name, rate in rates(found, kinds).items() if not np.isnan(rate)}
    asked = float(np.mean([outcome.trial.keyword.rate or np.nan for outcome in found]))
    worst = max(own, key=lambda name: own[name])
    return {
        "keywords": len(own),
        "keyword hours": sum(outcome.hours.get(kind, 0.0) for outcome in found for kind in kinds),
        "asked": asked,
        "pooled": pooled_rate(found, kinds),
        "median": float(np.median(list(own.values()))),
        "worst": own[worst],
        "worst keyword": worst,
        "within × 2": float(np.mean([asked / 2 <= rate <= asked * 2 for rate in own.values()])),
        "over × 5": float(np.mean([rate > 5 * asked for rate in own.values()])),
    }


def noise(found: Sequence[Outcome]) -> dict[str, Any]:
    """Detections per hundred events of household noise, pooled over the keywords."""
    events = sum(outcome.events for outcome in found)
    alarms = {outcome.trial.keyword.name: outcome.alarms.get("noise", 0) for outcome in found}
    worst = max(alarms, key=lambda name: alarms[name])
    of_kinds: dict[str, int] = {}
    for outcome in found:
        for kind, count in outcome.noises.items():
            of_kinds[kind] = of_kinds.get(kind, 0) + count
    return {
        "events": events // max(1, len(found)),
        "per hundred events": 100 * sum(alarms.values()) / max(1, events),
        "worst": 100 * alarms[worst] * len(found) / max(1, events),
        "worst keyword": worst,
        "kinds": dict(sorted(of_kinds.items(), key=lambda item: -item[1])),
    }


def phrases(found: Sequence[Outcome]) -> dict[str, dict[str, Interval]]:
    """Share of the clips of each role on which a phrase fires."""

    def fired(interval: Interval) -> Interval:
        value, low, high = interval
        return 1 - value, 1 - high, 1 - low

    return {
        role: {
            "default": fired(share(found, missed_by_detector, [role], "phrases")),
            "0.5/h": fired(share(found, missed_at(0.5), [role], "phrases")),
        }
        for role in ROLES
    }


def times(found: Sequence[Outcome]) -> dict[str, Any]:
    """Delay of detections, and distance of their middles from the middles of the words."""
    clips = [clip for outcome in found for clip in outcome.shown if not np.isnan(clip.delay_s)]
    delays, errors = ([getattr(clip, key) for clip in clips] or [np.nan] for key in ("delay_s", "middle_error_s"))
    return {
        "detections": len(clips),
        "delay_s": np.percentile(delays, (5, 50, 95)).tolist(),
        "middle_error_s": np.percentile(errors, (50, 95)).tolist(),
    }


def hard_negatives(found: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Share of rhymes and look-alikes on which a wake word fires; empty on the half choose, which has none."""
    table: dict[str, dict[str, float]] = {}
    for name, missed in (("default", missed_by_detector), *((f"{rate:g}/h", missed_at(rate)) for rate in RATES)):
        fired: dict[str, list[bool]] = {}
        for outcome in found:
            for clip in outcome.shown:
                if clip.streams == "hard negatives":
                    fired.setdefault(clip.place.label.removeprefix("not_"), []).append(not missed(outcome, clip))
        for label, hits in fired.items():
            table.setdefault(label, {})[name] = float(np.mean(hits))
    return table


if __name__ == "__main__":
    main()
