"""Draw docs/detection.png: how the parts of a word make its score, and how background makes its threshold.

    python benchmarks/detection_picture.py [--data ../shared/data] [--out docs/detection.png]

The phrase "right off" is enrolled with five voices. Another voice says it, says it backwards, and says one word alone.
"""

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

import earmark
from earmark.core.audio import SAMPLE_RATE, Wave, read
from earmark.spotting.background import background_events, load_background, rate_threshold
from earmark.spotting.parts import HALVES, QUARTERS, WHOLE, part_borders

PHRASE, RATE = "right off", 0.5
ROLES = ("target", "swapped", "first only", "second only")
PAUSE_S = 1.2
INK, FAINT, BLUE, ORANGE, GREEN, RED = "#1f2430", "#c9ced6", "#2b59c3", "#e08e0b", "#2a9d8f", "#d1495b"


def main() -> None:
    """Enroll the phrase, score the stream and the background, and draw both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora and trials/")
    parser.add_argument("--out", type=Path, default=Path("docs/detection.png"))
    options = parser.parse_args()
    encoder = earmark.load_encoder()
    rows = [row for row in phrase_rows(options.data) if row["phrase"] == PHRASE]
    takes = [joined(options.data, row) for row in rows if row["role"] == "enroll"]
    keyword = earmark.enroll(PHRASE, takes, encoder=encoder, false_alarms_per_hour=RATE)
    speaker = next(row["speaker"] for row in rows if row["role"] == "target")
    said = [next(row for row in rows if (row["role"], row["speaker"]) == (role, speaker)) for role in ROLES]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1.5, 1), layout="constrained")
    draw_parts(left, encoder, keyword, [joined(options.data, row) for row in said])
    draw_tail(right, encoder, keyword)
    figure.savefig(options.out, dpi=130)
    print(f"{options.out}: threshold {keyword.threshold:.2f}")


def phrase_rows(data: Path) -> list[dict[str, str]]:
    """Rows of the list of phrases, of the half that is free to look at."""
    with (data / "trials/phrases/phrases.tsv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["half"] == "choose"]


def joined(data: Path, row: dict[str, str]) -> Wave:
    """The spoken parts of one or two clips, one after the other, with silence around them."""
    words = []
    for column in ("first", "second"):
        if row[column]:
            wave = read(data / "speech_commands_test" / row[column])
            start_s, end_s = earmark.find_speech(wave) or (0.0, len(wave) / SAMPLE_RATE)
            words.append(wave[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)])
    silence = np.zeros(round(PAUSE_S / 2 * SAMPLE_RATE), np.float32)
    noise = np.random.default_rng(0).standard_normal(2 * len(silence) + sum(map(len, words))) * 1e-4
    return (np.concatenate([silence, *words, silence]) + noise).astype(np.float32)


def draw_parts(axes: Axes, encoder: earmark.Encoder, keyword: earmark.Keyword, waves: list[Wave]) -> None:
    """Similarity of the whole window, of its worst half and worst quarter, and the score, with the threshold."""
    times_s, scores = earmark.Detector(keyword, encoder=encoder).scores(np.concatenate(waves))
    similarity = part_curves(encoder, keyword, np.concatenate(waves))
    axes.plot(times_s, similarity[WHOLE], color=FAINT, label="whole window")
    axes.plot(times_s, similarity[HALVES].min(axis=0), color=ORANGE, lw=1, label="worst half")
    axes.plot(times_s, similarity[QUARTERS].min(axis=0), color=BLUE, lw=1, ls=":", label="worst quarter")
    axes.plot(times_s, scores[:, 0], color=INK, lw=2, label="score")
    axes.axhline(keyword.threshold, color=RED, lw=1, ls="--", label="threshold")
    end_s = 0.0
    for role, wave in zip(ROLES, waves, strict=True):
        start_s, end_s = end_s, end_s + len(wave) / SAMPLE_RATE
        first, second = PHRASE.split()
        text = {"target": PHRASE, "swapped": f"{second} {first}", "first only": first, "second only": second}[role]
        axes.text((start_s + end_s) / 2, 1.04, f"“{text}”", ha="center", color=INK)
        axes.axvspan(start_s + PAUSE_S / 2, end_s - PAUSE_S / 2, color=FAINT, alpha=0.25, lw=0)
    axes.set(xlim=(0, end_s), ylim=(-0.2, 1.15), xlabel="seconds", ylabel="cosine similarity")
    axes.set_title("A score needs every part, in order", loc="left")
    axes.legend(loc="lower center", ncols=5, frameon=False, fontsize=8, columnspacing=1, handlelength=1.5)


def part_curves(encoder: earmark.Encoder, keyword: earmark.Keyword, wave: Wave) -> NDArray[np.float32]:
    """Similarity of each part of the window of the keyword's own length, shape (7, t)."""
    frames = encoder.frames(wave)
    length = np.array([[round(keyword.duration_s / encoder.hop_s)]])
    first, last = part_borders(length)
    starts = np.arange(1, len(frames) + 1)[:, None] - length
    prototypes = keyword.part_prototypes[..., None]
    return encoder.compare_windows(frames, starts + first, starts + last, prototypes)[..., 0]


def draw_tail(axes: Axes, encoder: earmark.Encoder, keyword: earmark.Keyword) -> None:
    """Events of the background against their score, the fitted tail, and the threshold of the rate."""
    background = load_background(encoder)
    if background is None:
        raise SystemExit("unset EARMARK_BACKGROUND: the picture shows the background that ships")
    events = background_events(keyword, encoder, background)[:200]
    per_hour = np.arange(1, len(events) + 1) / background.hours
    rates = np.geomspace(0.02, per_hour[39], 80)
    tail = [rate_threshold(events, background.hours, rate) for rate in rates]
    axes.semilogy(events, per_hour, ".", color=BLUE, ms=4, label="peaks of the background")
    axes.semilogy(tail, rates, color=ORANGE, label="tail fitted to the 40 highest")
    axes.axhline(RATE, color=FAINT, lw=1)
    axes.text(events[-1], RATE * 1.1, f"allowed: {RATE:g} per hour", fontsize=8, color=INK)
    axes.axvline(keyword.threshold, color=RED, lw=1, ls="--", label="threshold")
    axes.set(xlabel="score", ylabel="events an hour with this score or more", ylim=(0.02, None))
    axes.set_title("Background sets the threshold", loc="left")
    axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    main()
