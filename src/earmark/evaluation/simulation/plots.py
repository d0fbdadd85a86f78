"""Plots of a spatial simulation, from the files in its folder."""

from collections.abc import Sequence
from pathlib import Path

from earmark.core.errors import InputError
from earmark.evaluation import plots
from earmark.evaluation.protocols.probe.rates import WordRates, count, word_rates
from earmark.evaluation.simulation.costs import read_costs
from earmark.evaluation.simulation.results import Repetition

COSTS = "cost.csv"
NAMES = {"mfcc": "MFCC, convolution", "plain": "auto-encoder", "spatial": "spatial auto-encoder"}
FEATURES = {
    "mfcc": "MFCC ({} numbers)",
    "plain": "auto-encoder ({} numbers)",
    "spatial": "spatial auto-encoder ({} numbers)",
}


def draw_simulation(folder: Path, out: Path | None = None, *, dpi: int = 150) -> tuple[Path, ...]:
    """Draw the plots of Humayun, Yassin and Abas 2021, and the same plots for the auto-encoder without position.

    Args:
        folder: folder of a run of `earmark spatial`.
        out: folder to write to; None for the same folder.
        dpi: dots per inch.

    Returns:
        The files `per-word.png`, `differences.png`, `differences-plain.png`, `class-means.png`, and `cost.png` if the
        folder has a `cost.csv`.

    Raises:
        InputError: the folder has no results of a repetition.
    """
    repetitions = read_repetitions(folder)
    out = out or folder
    out.mkdir(parents=True, exist_ok=True)
    rates = {system: rates_of(repetitions, system) for system in NAMES}
    times = f"{len(repetitions)} repetition{'s' if len(repetitions) > 1 else ''}"
    shown = {NAMES[system]: rates[system] for system in ("mfcc", "spatial")}
    drawn = {"per-word.png": plots.per_word_plot(shown, title=f"Each word, {times}")}
    for other, name in (("mfcc", "differences.png"), ("plain", "differences-plain.png")):
        drawn[name] = plots.word_difference_plot(
            rates[other],
            rates["spatial"],
            names=(NAMES[other], NAMES["spatial"]),
            title=f"Effect of the position head, {times}" if other == "plain" else f"Differences, {times}",
        )
    first = repetitions[0]
    features = {system: getattr(first, f"labeled_{system}") for system in FEATURES}
    labels = first.classes[first.labeled_labels].tolist()
    drawn["class-means.png"] = plots.class_means_plot(
        {FEATURES[system].format(rows.shape[1]): rows for system, rows in features.items()},
        labels,
        title=f"Means of each word over {len(labels):,} labeled clips, repetition 1",
    )
    if (folder / COSTS).exists():
        drawn["cost.png"] = plots.cost_plot(read_costs(folder / COSTS), title="Time to compute positions")
    for name, figure in drawn.items():
        plots.save(figure, out / name, dpi=dpi)
    return tuple(out / name for name in drawn)


def read_repetitions(folder: Path) -> list[Repetition]:
    """Read all repetitions of a run, in order.

    Raises:
        InputError: the folder has no repetitions, or the repetitions have different words.
    """
    files = sorted(folder.glob("repetition-*.npz"))
    if not files:
        raise InputError(f"{folder}: repetition-01.npz is missing; choose the folder of a run of earmark spatial")
    repetitions = [Repetition.open(file) for file in files]
    for file, repetition in zip(files, repetitions, strict=True):
        if repetition.classes.tolist() != repetitions[0].classes.tolist():
            raise InputError(
                f"{file}: the words differ from those in {files[0].name}; write each run into its own folder"
            )
    return repetitions


def rates_of(repetitions: Sequence[Repetition], system: str) -> WordRates:
    """Precision and recall of each word in each repetition, for the system `mfcc`, `plain` or `spatial`."""
    words = repetitions[0].classes.tolist()
    return word_rates(
        words, [count(one.test_labels, getattr(one, f"{system}_predictions"), len(words)) for one in repetitions]
    )
