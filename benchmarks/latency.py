"""Latency of detections against misses, false alarms and times: when is a peak of the score reported?

    python benchmarks/latency.py [--half choose] [--data ../shared/data] [--streams DIR]

The wake words and phrases of benchmarks/streams.py, and its streams, which must exist, are scored once. Their peaks are
then picked with several settings: `hold_s` alone, as earmark did before, and `rise_per_s`. The script writes
benchmarks/results/latency.md and latency.png.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from page import options_parser, write_page
from streams_measures import is_shown
from streams_runs import Trial, enroll_phrases, enroll_words, enrolled
from streams_sets import BACKGROUND, PHRASE_CLIPS, Corpora, Place, StreamSet, phrase_clips, phrase_wave, stream_sets

from earmark import Detector, DetectorSettings, Encoder, Keyword, audio, load_encoder
from earmark.core.audio import SAMPLE_RATE
from earmark.spotting.detector_settings import REST
from earmark.spotting.peaks import Peak, PeakPicker
from earmark.spotting.timeline import EncoderGroup, Rows, Timeline, encoder_groups

CHUNK = 1280
HOLDS_S = (0.3, 0.2, 0.12, 0.04)
RISES_PER_S = (-0.5, 0.0, 0.15, 0.2, 0.4, 0.6, 1.0, 2.0)
AFTER_S = 0.1
REPORTED = {  # of a phrase: whether it was reported, and whether one of its words was
    (True, False): "only the phrase",
    (True, True): "the phrase and a word",
    (False, True): "only a word",
    (False, False): "nothing",
}


@dataclass(frozen=True)
class Rule:
    """When a peak closes: after `hold_s`, or at a rise of less than `rise_per_s`."""

    hold_s: float
    rise_per_s: float

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"hold {self.hold_s:g} s" if self.rise_per_s == -math.inf else f"rise {self.rise_per_s:g} /s"


DEFAULT = Rule(DetectorSettings().hold_s, DetectorSettings().rise_per_s)
RULES = [Rule(hold_s, -math.inf) for hold_s in HOLDS_S] + [Rule(0.3, rise) for rise in RISES_PER_S]


@dataclass
class Outcome:
    """What one rule did: a row for each clip of a keyword (number, latency and error of the middle in seconds)."""

    hits: list[int]
    latencies_s: list[float]
    errors_s: list[float]
    alarms: int = 0
    hours: float = 0.0


def main() -> None:
    """Score the streams, pick their peaks by each rule, and write the page."""
    parser = options_parser(__doc__, "latency.md")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora and trials/")
    parser.add_argument("--prompts", type=Path, help="folder of spoken prompts, as for benchmarks/streams.py")
    parser.add_argument("--half", choices=("choose", "report"), default="choose")
    parser.add_argument("--streams", type=Path, default=Path("data/streams"), help="folder in which streams are kept")
    parser.add_argument("--most", type=int, default=20, help="files of background at most")
    options = parser.parse_args()
    corpora = Corpora(options.data, options.prompts, options.half)
    encoder = load_encoder()
    trials = [*enroll_words(corpora, "wake_words", "wake words", draws=3), *enroll_phrases(corpora)]
    sets = stream_sets(corpora, options.streams, with_conditions=False)
    outcomes = {(rule, kind): Outcome([], [], []) for rule in RULES for kind in ("wake words", "phrases")}
    settings = DetectorSettings()
    (group,) = encoder_groups([trial.keyword for trial in trials], [encoder], settings.tempos, settings.smoothing_s)
    for name in ("wake words", "phrases", "speech", "mixtures"):
        in_chunks = name == "wake words"
        for number, path in list(enumerate(sets[name].files))[: options.most]:
            rows, complete_s = scored(group, path, CHUNK if in_chunks else None)
            places = [place for place in sets[name].places if place.file == number]
            for rule in RULES:
                peaks = list(picked(rule, trials, group, rows, complete_s, one_by_one=in_chunks))
                for kind in ("wake words", "phrases"):
                    own = [number for number, trial in enumerate(trials) if trial.kind == kind]
                    if name == kind:
                        add_words(outcomes[rule, kind], trials, own, places, peaks)
                    elif name in ("speech", "mixtures"):
                        add_background(outcomes[rule, kind], trials, own, places, peaks)
        print(name, flush=True)
    rivals = fired(corpora, encoder, (RULES[0], DEFAULT))
    verified = {rule: with_verifier(sets["wake words"], trials, encoder, rule) for rule in (RULES[0], DEFAULT)}
    page = render(options.half, encoder, outcomes, rivals, verified)
    write_page(options.out, "\n".join(page))
    plot(outcomes, options.out.with_suffix(".png"))


def scored(group: EncoderGroup, path: Path, chunk: int | None) -> tuple[Rows, np.ndarray]:
    """The scores of a file, and for each row the time in seconds at which its chunk has arrived; None is one chunk."""
    wave, timeline = audio.read(path), Timeline([group])
    chunk = chunk or len(wave)
    pieces, complete = [], []
    for start in range(0, len(wave), chunk):
        rows = list(timeline.push(wave[start : start + chunk]))
        pieces += rows
        complete += [(start + chunk) / SAMPLE_RATE] * sum(map(len, rows))
    rows = Rows(*(np.concatenate([getattr(one, key) for one in pieces]) for key in ("scores", "stops", "lengths")))
    return rows, np.array(complete)


def picked(
    rule: Rule,
    trials: Sequence[Trial],
    group: EncoderGroup,
    rows: Rows,
    complete_s: np.ndarray,
    *,
    one_by_one: bool,
) -> Iterator[tuple[Peak, float]]:
    """The peaks of all keywords, each as if it were alone, and the times at which they are reported."""
    settings = DetectorSettings()
    keywords = [trial.keyword for trial in trials]
    picker = PeakPicker(
        np.array([keyword.threshold for keyword in keywords], np.float32),
        hold=group.samples(rule.hold_s),
        rests=[group.samples(max(settings.refractory_s, REST * keyword.duration_s)) for keyword in keywords],
        span=group.longest,
        rises=[rule.rise_per_s * group.encoder.hop_s] * len(keywords),
        exclusive=False,
    )
    step = 1 if one_by_one else len(rows)
    for row in range(0, len(rows), step):
        those = slice(row, row + step)
        for peak in picker.push(rows.scores[those], rows.stops[those], rows.lengths[those]):
            yield peak, complete_s[row]


def middle_s(peak: Peak) -> float:
    """Middle of a peak in seconds."""
    return (peak.start + peak.stop) / 2 / SAMPLE_RATE


def add_words(
    outcome: Outcome,
    trials: Sequence[Trial],
    numbers: Sequence[int],
    places: Sequence[Place],
    peaks: Sequence[tuple[Peak, float]],
) -> None:
    """Add the clips of some keywords: how often each was detected, latency and error of the first detection."""
    for number in numbers:
        trial = trials[number]
        own = [(peak, at_s) for peak, at_s in peaks if peak.keyword == number]
        for place in places:
            if not is_shown(place, trial) or place.role not in ("target", "clear", "unclear"):
                continue
            found = [one for one in own if place.start_s < middle_s(one[0]) < place.end_s + AFTER_S]
            outcome.hits.append(len(found))
            if found and place.role == "clear" and 0.3 < place.word_end_s - place.word_start_s < 1.5:
                peak, at_s = found[0]
                outcome.latencies_s.append(at_s - place.word_end_s)
                outcome.errors_s.append(abs(middle_s(peak) - (place.word_start_s + place.word_end_s) / 2))


def add_background(
    outcome: Outcome,
    trials: Sequence[Trial],
    numbers: Sequence[int],
    places: Sequence[Place],
    peaks: Sequence[tuple[Peak, float]],
) -> None:
    """Add the false alarms of some keywords in background."""
    for number in numbers:
        trial = trials[number]
        counted = [
            place for place in places if place.label in BACKGROUND and f" {trial.spoken} " not in f" {place.text} "
        ]
        outcome.hours += sum(place.end_s - place.start_s for place in counted) / 3600
        middles_s = [middle_s(peak) for peak, _ in peaks if peak.keyword == number]
        outcome.alarms += sum(any(one.start_s <= at_s < one.end_s for one in counted) for at_s in middles_s)


def with_verifier(streams: StreamSet, trials: Sequence[Trial], encoder: Encoder, rule: Rule) -> Outcome:
    """What the detector with both stages reports of the first enrollment of each wake word."""
    chosen = list({trial.label: trial for trial in reversed(trials) if trial.kind == "wake words"}.values())
    settings = DetectorSettings(exclusive=False, hold_s=rule.hold_s, rise_per_s=max(-50.0, rule.rise_per_s))
    detector = Detector([trial.keyword for trial in chosen], encoder=encoder, settings=settings)
    names, outcome = [trial.keyword.name for trial in chosen], Outcome([], [], [])
    for number, path in enumerate(streams.files):
        wave, found = audio.read(path), []
        for start in range(0, len(wave), CHUNK):
            for hit in detector.push(wave[start : start + CHUNK]):
                first, last = (round(at_s * SAMPLE_RATE) for at_s in (hit.start_s, hit.end_s))
                peak = Peak(names.index(hit.keyword), first, last, hit.score)
                found.append((peak, (start + CHUNK) / SAMPLE_RATE))
        detector.finish()
        places = [place for place in streams.places if place.file == number]
        add_words(outcome, chosen, range(len(chosen)), places, found)
    return outcome


def fired(corpora: Corpora, encoder: Encoder, rules: Sequence[Rule]) -> list[tuple[Rule, dict[str, float]]]:
    """What each rule reports of the phrases' clips, where the phrase and its two words are keywords of one detector."""
    phrases = list(enroll_phrases(corpora))
    words = dict(single_words(corpora, phrases))
    clips = [clip for clip in phrase_clips(corpora) if clip.role == "target"]
    counts: dict[Rule, dict[str, int]] = {rule: dict.fromkeys(REPORTED.values(), 0) for rule in rules}
    for trial in phrases:
        keywords = [trial.keyword, *(words[word] for word in dict.fromkeys(trial.label.split()))]
        waves = [phrase_wave(corpora, clip) for clip in clips if clip.phrase == trial.label][:PHRASE_CLIPS]
        ends_s = np.cumsum([len(wave) for wave in waves]) / SAMPLE_RATE
        for rule in rules:
            settings = DetectorSettings(hold_s=rule.hold_s, rise_per_s=max(-50.0, rule.rise_per_s))
            hits = list(Detector(keywords, encoder=encoder, settings=settings).detect(np.concatenate(waves)))
            for start_s, end_s in itertools.pairwise([0.0, *ends_s]):
                names = {hit.keyword for hit in hits if start_s < (hit.start_s + hit.end_s) / 2 < end_s}
                counts[rule][REPORTED[trial.keyword.name in names, bool(names - {trial.keyword.name})]] += 1
    return [
        (rule, {key: 100 * count / sum(of_rule.values()) for key, count in of_rule.items()})
        for rule, of_rule in counts.items()
    ]


def single_words(corpora: Corpora, phrases: Sequence[Trial]) -> Iterator[tuple[str, Keyword]]:
    """Enroll each word of the phrases with five clips that are no part of a phrase's takes or of its target clips."""
    used = " ".join(source for trial in phrases for source in trial.takes)
    clips: dict[str, list[str]] = {}
    for clip in corpora.clips("speech_commands_test"):
        clips.setdefault(clip.label, []).append(clip.path)
    for word in sorted({word for trial in phrases for word in trial.label.split()}):
        order = np.random.default_rng(3).permutation(len(clips[word]))
        paths = [clips[word][index] for index in order if clips[word][index] not in used][:8]
        waves = [(path, audio.read(corpora.data / "speech_commands_test" / path)) for path in paths]
        yield word, enrolled(word, word, "short words", waves).keyword


def render(
    half: str,
    encoder: Encoder,
    outcomes: dict[tuple[Rule, str], Outcome],
    rivals: Sequence[tuple[Rule, dict[str, float]]],
    verified: dict[Rule, Outcome],
) -> list[str]:
    """The lines of the page."""
    lines = [
        "# Latency of detections",
        "",
        f"Half `{half}`; made by `python benchmarks/latency.py`, which says what is measured. *hold*: a peak is",
        "reported when no higher score has followed for so long, as before. *rise*: or at a score that rises less a",
        "second. Latency from the end of the word to `push` returning the detection, in chunks of 80 ms; error of the",
        "middle of the detection. Each keyword as if it were alone, at its own threshold, by the first stage.",
        "",
        "![Misses and false alarms against latency](latency.png)",
        "",
        "| | latency: median | 5 to 95 % (s) | middle: median | 95 % (s) | missed (%) | twice (%) | false alarms/h |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (rule, kind), outcome in outcomes.items():
        hits = np.array(outcome.hits)
        latency, error = np.percentile(outcome.latencies_s or [np.nan], (50, 5, 95)), outcome.errors_s or [np.nan]
        middle = np.percentile(error, (50, 95))
        times = (
            f"{latency[0]:.2f} | {latency[1]:.2f} to {latency[2]:.2f} | {middle[0]:.3f} | {middle[1]:.2f}"
            if outcome.latencies_s
            else "– | – | – | –"
        )
        lines.append(
            f"| {kind}, {rule.name} | {times} | {100 * (hits == 0).mean():.1f} | {100 * (hits > 1).mean():.1f} | "
            f"{outcome.alarms / outcome.hours:.2f} |"
        )
    parts_s = encoder.lag_s + DetectorSettings().smoothing_s / 3 + 0.02
    latency_s, held_s = (np.median(outcomes[rule, "wake words"].latencies_s) for rule in (DEFAULT, RULES[0]))
    lines += ["", "## With the verifier", "", "One enrollment of each wake word, detected with both stages:", ""]
    lines += [
        "| | latency: median | 5 to 95 % (s) | middle: median | 95 % (s) | missed (%) | twice (%) |",
        "|---" * 7 + "|",
    ]
    for rule, outcome in verified.items():
        latency, middle = np.percentile(outcome.latencies_s, (50, 5, 95)), np.percentile(outcome.errors_s, (50, 95))
        hits = np.array(outcome.hits)
        lines.append(
            f"| {rule.name} | {latency[0]:.2f} | {latency[1]:.2f} to {latency[2]:.2f} | {middle[0]:.3f} | "
            f"{middle[1]:.2f} | {100 * (hits == 0).mean():.1f} | {100 * (hits > 1).mean():.1f} |"
        )
    lines += [
        "",
        "## Phrases beside their own words",
        "",
        "Each phrase and its two words are keywords of one detector, which says of the phrase's clips (%):",
        "",
        f"| | {' | '.join(rivals[0][1])} |",
        f"|---|{'---|' * len(rivals[0][1])}",
        *(f"| {rule.name} | {' | '.join(f'{share:.1f}' for share in shares.values())} |" for rule, shares in rivals),
        "",
        "## What the latency consists of",
        "",
        "| | s |",
        "|---|---|",
        f"| look-ahead of the encoder, with its frame | {encoder.lag_s:.2f} |",
        f"| smoothing over three frames | {DetectorSettings().smoothing_s / 3:.2f} |",
        "| waiting for the end of a chunk of 80 ms | 0.02 |",
        f"| end of the word to the frame that is reported, at {DEFAULT.name} | {latency_s - parts_s:.2f} |",
        f"| the same at hold 0.3 s, with the time held | {held_s - parts_s:.2f} |",
    ]
    return lines


def plot(outcomes: dict[tuple[Rule, str], Outcome], path: Path) -> None:
    """Plot latency and error of the middle of wake words, and misses and false alarms, by rule."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for old in (True, False):
        own = [
            (rule, outcome)
            for (rule, kind), outcome in outcomes.items()
            if kind == "wake words" and (rule.rise_per_s == -math.inf) == old
        ]
        latency = [float(np.median(outcome.latencies_s)) for _, outcome in own]
        label, marker = ("hold_s alone", "s--") if old else ("rise_per_s", "o-")
        left.plot(latency, [np.percentile(outcome.errors_s, 95) for _, outcome in own], marker, label=label)
        right.plot(
            latency, [100 * np.mean(np.array(one.hits) == 0) for _, one in own], marker, label=f"missed, {label}"
        )
        right.plot(
            latency, [10 * one.alarms / one.hours for _, one in own], marker, alpha=0.6, label=f"10 × alarms/h, {label}"
        )
        for (rule, outcome), at_s in zip(own, latency, strict=True):
            left.annotate(
                f"{rule.hold_s if old else rule.rise_per_s:g}", (at_s, np.percentile(outcome.errors_s, 95)), fontsize=7
            )
    left.set(xlabel="median latency (s)", ylabel="error of the middle, 95th percentile (s)")
    right.set(xlabel="median latency (s)", ylabel="missed (%), false alarms (10 × per hour)", ylim=(0, None))
    for axes in (left, right):
        axes.axvline(0.5, color="gray", lw=0.7)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
