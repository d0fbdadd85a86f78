"""Picture and page of the benchmark of expectations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from earmark.spotting.keyword_calibration import Logistic

Floats = NDArray[np.floating]

LEAST_CLIPS = 10  # of a keyword whose misses are compared alone
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 1.0)
RESAMPLES = 500
INK, FAINT, RED = "#1f2430", "#c9ced6", "#d1495b"
COLORS = {"dspspeech": "#2b59c3", "kokoro_words": "#2a9d8f", "speech_commands_test": "#e08e0b", "wake_words": "#7b4fb5"}


@dataclass(frozen=True, eq=False)
class Trial:
    """A keyword and what it did.

    Attributes:
        corpus: of the word.
        label: the word.
        fresh: whether no constant of the expectations was fitted on the word.
        takes: their number.
        expected: expected misses; None with one take.
        threshold: of the keyword.
        true: score of each true word.
        false: scores of events in speech without the word.
        hours: duration of that speech.
        logistic: probability by score.
    """

    corpus: str
    label: str
    fresh: bool
    takes: int
    expected: float | None
    threshold: float
    true: Floats
    false: Floats
    hours: float
    logistic: Logistic | None

    @property
    def misses(self) -> float:
        """Share of true words below the threshold."""
        return float((self.true < self.threshold).mean())

    @property
    def false_alarms(self) -> float:
        """False alarms per hour."""
        return float((self.false >= self.threshold).sum() / self.hours)


@dataclass(frozen=True)
class Reliability:
    """Detections of one bin of probability.

    Attributes:
        stated: mean probability.
        right: share of right detections, where each word is spoken once an hour.
        low: lower end of the 95 % interval over words.
        high: its upper end.
        false: number of wrong detections.
    """

    stated: float
    right: float
    low: float
    high: float
    false: int


def reliability(trials: Sequence[Trial]) -> list[Reliability]:
    """Stated probability and share of right detections, for bins of probability."""
    generator, found = np.random.default_rng(0), []
    for low, high in pairwise(BINS):
        # Columns: weight of the right ones, weight of the wrong ones, their stated probability, number of wrong ones.
        rows = np.array([_weights(trial, low, high) for trial in trials])
        total = rows.sum(axis=0)
        if not total[:2].any():
            continue
        draws = generator.integers(len(rows), size=(RESAMPLES, len(rows)))
        sums = rows[draws].sum(axis=1)
        shares = sums[:, 0] / np.maximum(sums[:, :2].sum(axis=1), 1e-9)
        bounds = np.percentile(shares, (2.5, 97.5))
        found.append(
            Reliability(total[2] / total[:2].sum(), total[0] / total[:2].sum(), bounds[0], bounds[1], int(total[3]))
        )
    return found


def _weights(trial: Trial, low: float, high: float) -> tuple[float, float, float, float]:
    if trial.logistic is None:
        raise SystemExit("unset EARMARK_BACKGROUND: expectations need the background that ships")
    weighed = []
    for scores, weight in ((trial.true, 1 / len(trial.true)), (trial.false, 1 / trial.hours)):
        chosen = [trial.logistic.probability(float(score)) for score in scores if score >= trial.threshold]
        inside = [one for one in chosen if low <= one < high or one == high == 1]
        weighed.append((weight * len(inside), weight * sum(inside), len(inside)))
    (right, right_sum, _), (wrong, wrong_sum, count) = weighed
    return right, wrong, right_sum + wrong_sum, count


def draw(trials: Sequence[Trial], path: Path) -> None:
    """Draw expected against measured misses, and the reliability of the probability."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    draw_misses(left, well_tested(trials))
    draw_reliability(right, reliability(trials))
    figure.savefig(path, dpi=130)


def draw_misses(axes: Axes, trials: Sequence[Trial]) -> None:
    """One point for each keyword, and the means of eighths by what was expected."""
    axes.plot([0, 1], [0, 1], color=FAINT, lw=1)
    for corpus, color in COLORS.items():
        own = pairs([trial for trial in trials if trial.corpus == corpus])
        if len(own):
            axes.plot(own[:, 0], own[:, 1], ".", color=color, ms=5, alpha=0.6, label=corpus)
    means = eighths(trials)
    axes.plot(means[:, 0], means[:, 1], "o-", color=INK, ms=5, lw=1.2, label="mean of an eighth of the keywords")
    axes.set(xlabel="expected at enrollment", ylabel="measured", xlim=(-0.02, 1), ylim=(-0.02, 1))
    axes.set_title("Missed words", loc="left")
    axes.legend(frameon=False, fontsize=8)


def draw_reliability(axes: Axes, bins: Sequence[Reliability]) -> None:
    """Share of right detections by stated probability, with intervals."""
    axes.plot([0, 1], [0, 1], color=FAINT, lw=1)
    stated, right = [one.stated for one in bins], [one.right for one in bins]
    errors = [[one.right - one.low for one in bins], [one.high - one.right for one in bins]]
    axes.errorbar(stated, right, yerr=errors, fmt="o-", color=RED, ms=5, lw=1.2, capsize=3)
    axes.set(xlabel="probability of the detection", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("Detections, if each word is spoken once an hour", loc="left")


def pairs(trials: Sequence[Trial]) -> Floats:
    """Expected and measured misses of the keywords with several takes, shape (n, 2)."""
    found = [(trial.expected, trial.misses) for trial in trials if trial.expected is not None]
    return np.array(found, np.float64).reshape(-1, 2)


def well_tested(trials: Sequence[Trial]) -> list[Trial]:
    """The keywords that were tested on many clips."""
    return [trial for trial in trials if len(trial.true) >= LEAST_CLIPS]


def eighths(trials: Sequence[Trial]) -> Floats:
    """Mean expected and mean measured misses in eight groups of keywords by what was expected, shape (8, 2)."""
    misses = pairs(trials)
    ordered = misses[np.argsort(misses[:, 0])]
    return np.array([group.mean(axis=0) for group in np.array_split(ordered, 8) if len(group)])


def page(trials: Sequence[Trial]) -> str:
    """The page of results."""
    fresh = [trial for trial in trials if trial.fresh]
    parts = [
        "# Expectations at enrollment, measured",
        "Made by `python benchmarks/expectations.py`. Words are enrolled with takes of different voices and searched "
        "in other voices, after other speech, at the default threshold; speech without the word is of the half of "
        "speechocean762's test speakers that sets no threshold. The constants of `spotting/expectation.py` were fitted "
        "on words of Speech Commands, Arabic Speech Commands, wake_words (half `choose`) and others of kokoro_words; "
        "dspspeech and the words of kokoro_words here are *fresh*.",
        "## Missed words",
        misses_table(trials),
        f"Keywords with two takes or more, tested on {LEAST_CLIPS} clips or more: {misses_summary(trials)} Fresh ones: "
        + misses_summary(fresh),
        "Means of eighths of these keywords, expected → measured: "
        + ", ".join(
            f"{100 * expected:.0f} → {100 * measured:.0f} %" for expected, measured in eighths(well_tested(trials))
        ),
        "## Probability",
        "Detections at the default threshold, weighted as if each word were spoken once an hour. Interval: 95 %, "
        "bootstrap over keywords.",
        reliability_table("all", trials),
        reliability_table("fresh words", fresh),
    ]
    return "\n\n".join(parts) + "\n"


def misses_table(trials: Sequence[Trial]) -> str:
    """Means by corpus and number of takes."""
    rows = [
        "| corpus | takes | keywords | expected misses | measured misses | false alarms per hour |",
        "|---|---|---|---|---|---|",
    ]
    for corpus, takes in sorted({(trial.corpus, trial.takes) for trial in trials}):
        own = [trial for trial in trials if (trial.corpus, trial.takes) == (corpus, takes)]
        expected = pairs(own)
        text = f"{100 * expected[:, 0].mean():.1f} %" if len(expected) else "–"
        misses = np.mean([trial.misses for trial in own])
        alarms = np.mean([trial.false_alarms for trial in own])
        rows.append(f"| {corpus} | {takes} | {len(own)} | {text} | {100 * misses:.1f} % | {alarms:.2f} |")
    return "\n".join(rows)


def misses_summary(trials: Sequence[Trial]) -> str:
    """Correlation and errors, as a sentence."""
    misses = pairs(well_tested(trials))
    error = misses[:, 0] - misses[:, 1]
    return (
        f"n = {len(misses)}, correlation {np.corrcoef(misses.T)[0, 1]:.2f}, mean absolute error "
        f"{100 * np.abs(error).mean():.1f} points, mean error {100 * error.mean():+.1f} points."
    )


def reliability_table(title: str, trials: Sequence[Trial]) -> str:
    """One row for each bin of probability."""
    rows = [f"| {title}: probability | right | interval | wrong detections |", "|---|---|---|---|"]
    rows += [
        f"| {one.stated:.3f} | {one.right:.3f} | {one.low:.3f} to {one.high:.3f} | {one.false} |"
        for one in reliability(trials)
    ]
    return "\n".join(rows)
