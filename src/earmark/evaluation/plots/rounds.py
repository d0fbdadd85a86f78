"""Plot of a metric by round of self-training."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from earmark.evaluation.plots.figures import COLORS, one_panel


def rounds_plot(values: Sequence[float], kept: int, *, ylabel: str, title: str = "") -> Figure:
    """Plot a metric at the start and after each round of self-training, and mark the kept round.

    Args:
        values: metric at the start, then after each round.
        kept: index of the kept value; 0 for the start.
        ylabel: name of the metric.
        title: title of the plot.
    """
    figure, axes = one_panel(5.2, 3.4)
    axes.plot(range(len(values)), values, "o-", color="0.55", lw=1.4, ms=5)
    axes.plot([kept], [values[kept]], "o", color=COLORS[0], ms=10, label="kept")
    axes.set_xticks(range(len(values)), ["start", *(f"round {number}" for number in range(1, len(values)))])
    axes.set(ylabel=ylabel, title=title, xlim=(-0.3, len(values) - 0.7))
    axes.margins(y=0.15)
    axes.grid(axis="y", color="0.92", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    return figure
