"""Numbers of the benchmark of streams: misses, false alarms, delay, and their intervals."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from streams_runs import NEGATIVES, FileRun, Trial
from streams_sets import BACKGROUND, Place, StreamSet

from earmark import Detection

Floats = NDArray[np.float64]
Interval = tuple[float, float, float]

RATES = (0.5, 1.0, 2.0)
KINDS = ("wake words", "phrases", "short words")
ROLES = ("target", "swapped", "first only", "second only", "wrong first", "wrong second")
TARGETS = ("target", "clear", "unclear")
APART_S = 1.0  # least time between two false alarms of a score curve
AFTER_S = 0.5  # a word counts as found until this long after its clip
RESAMPLES = 1000


@dataclass(frozen=True)
class Shown:
    """One clip of a keyword, or of words that resemble it, in a stream.

    Attributes:
        streams: name of the set.
        place: where in the set.
        score: best score.
        detected: whether the detector reported the keyword there.
        delay_s: time from the end of the word to the report; NaN where it was not measured or is not clear.
        middle_error_s: distance of the middle of the detection from the middle of the word; NaN likewise.
    """

    streams: str
    place: Place
    score: float
    detected: bool
    delay_s: float
    middle_error_s: float


@dataclass
class Outcome:
    """All that one keyword did.

    Attributes:
        trial: the keyword.
        shown: clips of its own set, without its takes.
        peaks: peaks of its scores in the background.
        alarms: number of detections by kind of background, and in noise.
        hours: duration by kind of background, and of noise.
        events: number of clips of noise.
        noises: detections in noise by kind of noise.
    """

    trial: Trial
    shown: list[Shown] = field(default_factory=list)
    peaks: list[Floats] = field(default_factory=list)
    alarms: dict[str, int] = field(default_factory=dict)
    hours: dict[str, float] = field(default_factory=dict)
    events: int = 0
    noises: dict[str, int] = field(default_factory=dict)

    @property
    def background_hours(self) -> float:
        """Duration of the background without household noise."""
        return sum(self.hours.get(kind, 0.0) for kind in BACKGROUND)

    @property
    def background_alarms(self) -> int:
        """Number of detections in the background without household noise."""
        return sum(self.alarms.get(kind, 0) for kind in BACKGROUND)

    def threshold(self, rate: float) -> float:
        """The lowest threshold with at most `rate` false alarms per hour of background: a score above it counts."""
        ordered = np.sort(np.concatenate(self.peaks))[::-1]
        allowed = int(rate * self.background_hours)
        return float(ordered[min(allowed, len(ordered) - 1)]) if len(ordered) else -1.0


def outcomes(sets: dict[str, StreamSet], trials: Sequence[Trial], runs: Iterable[FileRun]) -> list[Outcome]:
    """Collect what each keyword did in all files."""
    found = [Outcome(trial) for trial in trials]
    by_file: dict[tuple[str, int], list[Place]] = {}
    for name, streams in sets.items():
        for place in streams.places:
            by_file.setdefault((name, place.file), []).append(place)
    for done in runs:
        places = by_file[done.streams, done.file]
        for column, number in enumerate(done.trials):
            outcome = found[number]
            if done.streams in NEGATIVES:
                add_background(outcome, done, column, places)
            else:
                own = [place for place in places if is_shown(place, outcome.trial)]
                outcome.shown += [shown(outcome, done, column, place) for place in own]
    return found


def is_shown(place: Place, trial: Trial) -> bool:
    """Whether a clip is the keyword, or resembles it, and is not a take of it."""
    return place.label.removeprefix("not_").split(":")[0] == trial.label and place.source not in trial.takes


def shown(outcome: Outcome, done: FileRun, column: int, place: Place) -> Shown:
    """Best score and best detection of a keyword in a clip."""
    near = (done.times_s > place.start_s) & (done.times_s <= place.end_s + AFTER_S)
    score, name = float(done.scores[near, column].max()), outcome.trial.keyword.name
    hits = [
        report
        for report in done.reported
        if report.detection.keyword == name and place.start_s < middle_s(report.detection) < place.end_s + 0.1
    ]
    if not hits:
        return Shown(done.streams, place, score, False, np.nan, np.nan)
    best = max(hits, key=lambda report: report.detection.score)
    if place.role != "clear" or not 0.3 < place.word_end_s - place.word_start_s < 1.5:
        return Shown(done.streams, place, score, True, np.nan, np.nan)
    error_s = abs(middle_s(best.detection) - (place.word_start_s + place.word_end_s) / 2)
    return Shown(done.streams, place, score, True, best.reported_s - place.word_end_s, error_s)


def middle_s(detection: Detection) -> float:
    """Middle of a detection."""
    return (detection.start_s + detection.end_s) / 2


def add_background(outcome: Outcome, done: FileRun, column: int, places: list[Place]) -> None:
    """Add false alarms, peaks and hours of a file, without the sections that contain the keyword's words."""
    counted = np.array([counts(place, outcome.trial) for place in places])
    starts_s = np.array([place.start_s for place in places])

    def section(time_s: float) -> int:
        return max(0, int(np.searchsorted(starts_s, time_s, "right")) - 1)

    for place, counts_here in zip(places, counted, strict=True):
        if counts_here:
            outcome.hours[place.label] = outcome.hours.get(place.label, 0) + (place.end_s - place.start_s) / 3600
            outcome.events += place.label == "noise"
            outcome.alarms.setdefault(place.label, 0)
    for report in done.reported:
        hit = report.detection
        number = section(middle_s(hit))
        if hit.keyword == outcome.trial.keyword.name and counted[number]:
            outcome.alarms[places[number].label] += 1
            if places[number].label == "noise":
                outcome.noises[places[number].role] = outcome.noises.get(places[number].role, 0) + 1
    if done.streams != "noise":
        at, values = peaks(done.scores[:, column], apart(done.times_s))
        kept = [bool(counted[section(float(time_s) - 0.4)]) for time_s in done.times_s[at]]
        outcome.peaks.append(values[kept])


def counts(place: Place, trial: Trial) -> bool:
    """Whether a section of background counts for a keyword.

    A section whose transcript contains the keyword's words does not. Short words are common, so that they count only
    where there is a transcript.
    """
    if place.text == "?":
        return trial.kind != "short words"
    return f" {trial.spoken} " not in f" {place.text} "


def apart(times_s: NDArray[np.float32]) -> int:
    """The number of scores in `APART_S`."""
    return max(1, round(APART_S / float(times_s[1] - times_s[0]))) if len(times_s) > 1 else 1


def peaks(scores: NDArray[np.float32], least: int, most: int = 200) -> tuple[NDArray[np.int64], Floats]:
    """Indices and values of the highest peaks that are at least `least` scores apart, highest first."""
    rows = scores[: len(scores) // least * least].reshape(-1, least)
    highest = rows.argmax(axis=1) + np.arange(len(rows)) * least
    kept: list[int] = []
    for index in highest[np.argsort(-scores[highest])].tolist():
        if all(abs(index - other) >= least for other in kept):
            kept.append(index)
        if len(kept) == most:
            break
    return np.array(kept, np.int64), scores[kept].astype(np.float64)


def mean_of_labels(values: Iterable[tuple[str, float]]) -> float:
    """Mean over labels of the means over each label's keywords."""
    by_label: dict[str, list[float]] = {}
    for label, value in values:
        by_label.setdefault(label, []).append(value)
    return float(np.mean([np.mean(own) for own in by_label.values()])) if by_label else np.nan


def share(
    found: Sequence[Outcome], is_found: Callable[[Outcome, Shown], bool], roles: Sequence[str], streams: str
) -> Interval:
    """Share of the clips of a set and of some roles for which something is true, and its 95 % interval over clips.

    The share is a mean over words; clips are resampled within each word, with all its keywords.
    """
    generator = np.random.default_rng(0)
    values, resampled = [], []
    for label in sorted({outcome.trial.label for outcome in found}):
        rows = [
            (outcome, [clip for clip in outcome.shown if clip.streams == streams and clip.place.role in roles])
            for outcome in found
            if outcome.trial.label == label
        ]
        sources = sorted({clip.place.source for _, clips in rows for clip in clips})
        if not sources:
            continue
        # Rows are resamples, columns are sources; a row counts how often the resample contains a source.
        weights = generator.multinomial(len(sources), np.full(len(sources), 1 / len(sources)), RESAMPLES)
        columns, means = {source: column for column, source in enumerate(sources)}, []
        for outcome, clips in rows:
            if clips:
                hits = np.array([is_found(outcome, clip) for clip in clips], float)
                drawn = weights[:, [columns[clip.place.source] for clip in clips]]
                values.append((label, float(hits.mean())))
                means.append(drawn @ hits / np.maximum(1, drawn.sum(axis=1)))
        resampled.append(np.mean(means, axis=0))
    if not values:
        return np.nan, np.nan, np.nan
    low, high = np.percentile(np.mean(resampled, axis=0), (2.5, 97.5))
    return mean_of_labels(values), float(low), float(high)


def missed_by_detector(_: Outcome, clip: Shown) -> bool:
    """Whether the detector, at its default settings, did not report a clip."""
    return not clip.detected


def missed_at(rate: float) -> Callable[[Outcome, Shown], bool]:
    """Whether a clip is missed at the best threshold for a rate of false alarms per hour."""
    thresholds: dict[str, float] = {}

    def missed(outcome: Outcome, clip: Shown) -> bool:
        name = outcome.trial.keyword.name
        if name not in thresholds:
            thresholds[name] = outcome.threshold(rate)
        return clip.score <= thresholds[name]

    return missed


def pooled_rate(found: Sequence[Outcome], kinds: Sequence[str]) -> Interval:
    """False alarms per keyword-hour at the default settings, and its 95 % interval over keywords."""
    alarms = np.array([sum(outcome.alarms.get(kind, 0) for kind in kinds) for outcome in found], float)
    hours = np.array([sum(outcome.hours.get(kind, 0.0) for kind in kinds) for outcome in found])
    if not hours.sum():
        return np.nan, np.nan, np.nan
    draws = np.random.default_rng(0).integers(len(found), size=(RESAMPLES, len(found)))
    low, high = np.percentile(alarms[draws].sum(axis=1) / hours[draws].sum(axis=1), (2.5, 97.5))
    return float(alarms.sum() / hours.sum()), float(low), float(high)


def rates(found: Sequence[Outcome], kinds: Sequence[str]) -> dict[str, float]:
    """False alarms per hour of each keyword at the default settings."""
    return {
        outcome.trial.keyword.name: sum(outcome.alarms.get(kind, 0) for kind in kinds)
        / max(1e-9, sum(outcome.hours.get(kind, 0.0) for kind in kinds))
        for outcome in found
    }


def missed_share(found: Sequence[Outcome], rate: float) -> float:
    """Share missed at the best thresholds, without an interval."""
    missed = missed_at(rate)
    return mean_of_labels(
        (outcome.trial.label, float(np.mean([missed(outcome, clip) for clip in targets(outcome)]))) for outcome in found
    )


def default_share(outcome: Outcome) -> float:
    """Share missed at the default settings."""
    return float(np.mean([not clip.detected for clip in targets(outcome)]))


def targets(outcome: Outcome) -> list[Shown]:
    """Clips that contain the keyword."""
    return [clip for clip in outcome.shown if clip.streams == outcome.trial.kind and clip.place.role in TARGETS]
