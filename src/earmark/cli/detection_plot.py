"""A plot of a recording: waveform, spectrogram, scores and detections."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from earmark.core.audio import SAMPLE_RATE, Wave, duration_s, read_parts
from earmark.core.config import Settings
from earmark.core.errors import InputError, needs

if TYPE_CHECKING:
    from earmark.spotting.detector import Detection, Detector

INK, FAINT, HIT, TRUTH = "#1f2430", "#c9ced6", "#d1495b", "#2a9d8f"
LONGEST_S = 600.0
LEAD_S = 3.0
"""Seconds of audio before the start of a plot, which complete the windows of its first scores."""

SUFFIXES = (".png", ".svg", ".pdf")
WIDTHS = 9.0, 20.0  # inches
CURVES = ("#2b59c3", "#e08e0b", "#7b2d8b", "#3a7d44", "#8c564b", "#5a6472")


class PlotSettings(Settings):
    """Which part of a recording is plotted, and where the plot is written."""

    path: Path | None = Field(
        None,
        description="Plot to write (.png, .svg, .pdf): audio, scores and detections of one recording, at most 10 "
        "minutes.",
    )
    start_s: float = Field(0.0, ge=0, description="Start of the plot.")
    end_s: float | None = Field(None, ge=0, description="End of the plot; that of the recording if not given.")

    def check(self, recordings: int) -> None:
        """Check the options before the recordings are read.

        Raises:
            InputError: there are several recordings, the path is not one of a plot, or a span has no plot.
        """
        if self.path is None:
            if self.model_fields_set:
                raise InputError("--from and --to choose what --plot draws; give --plot FILE too")
            return
        if recordings > 1:
            raise InputError(f"a plot shows one recording, not {recordings}; give one FILE", key="path")
        check_path(self.path, "path")

    def span(self, file: Path) -> tuple[float, float] | None:
        """Start and end of the plot in a recording, in seconds; None without a plot.

        Raises:
            InputError: the span is empty or too long.
        """
        if self.path is None:
            return None
        length_s = duration_s(file)
        stop_s = length_s if self.end_s is None else min(self.end_s, length_s)
        if stop_s <= self.start_s:
            raise InputError(
                f"{file}: nothing to plot from {self.start_s:g} to {stop_s:g} s of {length_s:.2f} s; give --from "
                "before --to"
            )
        if stop_s - self.start_s > LONGEST_S:
            raise InputError(
                f"{file}: {stop_s - self.start_s:.0f} s are too long for a plot of at most {LONGEST_S:.0f} s; choose a "
                "part with --from and --to"
            )
        return self.start_s, stop_s

    def draw(
        self, file: Path, detector: "Detector", detections: Sequence["Detection"], span: tuple[float, float]
    ) -> None:
        """Draw the span of a recording with the detections of all of it."""
        if self.path is None:
            return
        start_s, end_s = span
        lead_s = min(start_s, LEAD_S)
        (wave,) = read_parts(file, [(start_s - lead_s, end_s)])
        draw(self.path, wave, detector, detections, title=file.name, start_s=start_s, lead_s=lead_s)
        sys.stderr.write(f"drew {self.path}\n")


def check_path(path: Path, key: str) -> None:
    """Check that a plot can be written, before the slow work whose result it shows.

    Args:
        path: file of the plot.
        key: parameter whose value is the path, for messages.

    Raises:
        InputError: matplotlib is missing, the suffix is not one of `SUFFIXES`, or the folder does not exist.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: plots are .png, .svg or .pdf files; change the suffix", key=key)
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder; name an existing one", key=key)
    with needs("plots"):
        import matplotlib  # noqa: F401 -- a missing package is an error before the work


def draw(
    path: Path,
    wave: Wave,
    detector: "Detector",
    detections: Sequence["Detection"],
    *,
    title: str,
    truth: Sequence[tuple[float, float]] = (),
    start_s: float = 0.0,
    lead_s: float = 0.0,
) -> None:
    """Plot waveform, spectrogram, and the score of each keyword with its threshold.

    Args:
        path: file to write; its suffix, one of `SUFFIXES`, gives the format.
        wave: shape (n,), from `lead_s` before the start of the plot.
        detector: gives the scores.
        detections: of the whole recording.
        title: text above the plot.
        truth: start and end of the true keywords, in seconds.
        start_s: start of the plot in the recording.
        lead_s: audio before the start, in seconds, that only completes the windows of the first scores.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    with needs("plots"):
        from matplotlib.figure import Figure

    shown = wave[round(lead_s * SAMPLE_RATE) :]
    length_s = len(shown) / SAMPLE_RATE
    end_s = start_s + length_s
    width = float(np.clip(length_s * 0.55, *WIDTHS))
    figure = Figure(figsize=(width, 6.4), layout="constrained", facecolor="white")
    waveform, spectrum, scores = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.6, 1.8))
    _draw_waveform(waveform, shown, start_s)
    _draw_spectrogram(spectrum, shown, start_s)
    _draw_scores(scores, wave, detector, start_s - lead_s, start_s)
    for true_start_s, true_end_s in truth:
        for axes in (waveform, scores):
            axes.axvspan(true_start_s, true_end_s, color=TRUTH, alpha=0.16, linewidth=0)
        spectrum.axvspan(true_start_s, true_end_s, ymin=0.965, color=TRUTH, linewidth=0)
    _mark(waveform, scores, [hit for hit in detections if hit.end_s > start_s and hit.start_s < end_s])
    if truth:
        scores.fill_between([], [], color=TRUTH, alpha=0.16, linewidth=0, label="true keyword")
    scores.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=6, frameon=False, fontsize=9, labelcolor=INK)
    scores.set(xlim=(start_s, end_s), xlabel="seconds" if end_s < 60 else "minutes:seconds")
    if end_s >= 60:
        scores.xaxis.set_major_formatter(
            lambda seconds, _: f"{int(seconds // 60)}:{seconds % 60:04.1f}".removesuffix(".0")
        )
    figure.suptitle(title, fontsize=13, fontweight="bold", color=INK, x=0.01, ha="left")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({error}); free space, or name another file") from error


def _draw_waveform(axes: Any, wave: Wave, start_s: float) -> None:
    # The extremes of 4,000 sections look like the whole wave, and are fast to draw.
    step = max(1, len(wave) // 4000)
    sections = wave[: len(wave) // step * step].reshape(-1, step)
    times_s = start_s + (np.arange(len(sections)) + 0.5) * step / SAMPLE_RATE
    axes.fill_between(times_s, sections.min(axis=1), sections.max(axis=1), color=INK, linewidth=0)
    peak = float(np.abs(wave).max(initial=1e-3)) * 1.15
    axes.set(ylim=(-peak, peak), yticks=[])
    axes.set_ylabel("waveform", color=INK)
    _tidy(axes)


def _draw_spectrogram(axes: Any, wave: Wave, start_s: float) -> None:
    window, hop = 512, max(160, len(wave) // 6000)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, window // 2), window)[::hop]
    level_db = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(window))) + 1e-6)
    top = float(np.percentile(level_db, 99.7))
    extent = (start_s, start_s + len(frames) * hop / SAMPLE_RATE, 0, SAMPLE_RATE / 2000)
    axes.imshow(level_db.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - 65, vmax=top)
    axes.set_ylabel("kHz", color=INK)
    _tidy(axes)


def _draw_scores(axes: Any, wave: Wave, detector: "Detector", wave_start_s: float, start_s: float) -> None:
    times_s, scores = detector.scores(wave)
    times_s = times_s + wave_start_s
    times_s, scores = times_s[times_s >= start_s], scores[times_s >= start_s]
    thresholds = detector.thresholds
    for column, keyword in enumerate(detector.keywords):
        color = CURVES[column % len(CURVES)]
        axes.plot(times_s, scores[:, column], color=color, linewidth=1.4, label=f"score of “{keyword.name}”")
        axes.fill_between(
            times_s,
            thresholds[column],
            scores[:, column],
            where=scores[:, column] >= thresholds[column],
            color=color,
            alpha=0.25,
        )
    for place, threshold in enumerate(sorted(set(thresholds.tolist()))):
        axes.axhline(threshold, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="" if place else "threshold")
    axes.set(ylim=(min(0.0, float(scores.min(initial=0))) - 0.02, 1.08), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.set_ylabel("score", color=INK)
    _tidy(axes)


def _mark(waveform: Any, scores: Any, detections: Sequence["Detection"]) -> None:
    names = {hit.keyword for hit in detections}
    for number, hit in enumerate(detections):
        for axes in (waveform, scores):
            axes.axvspan(hit.start_s, hit.end_s, fill=False, edgecolor=HIT, linewidth=1.3)
        label = "detection" if number == 0 else ""
        scores.plot([hit.end_s], [hit.score], "o", color=HIT, markersize=6, zorder=5, label=label)
        middle_s = (hit.start_s + hit.end_s) / 2
        text = f"{hit.score:.2f}" if len(names) == 1 else f"{hit.keyword}\n{hit.score:.2f}"
        scores.text(middle_s, 1.1, text, color=HIT, fontsize=9, ha="center", va="bottom", fontweight="bold")


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK, labelsize=9)
