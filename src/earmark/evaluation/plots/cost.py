"""Plot of the CPU time of methods by the number of items."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from earmark.evaluation.plots.figures import line_style, one_panel
from earmark.evaluation.simulation.costs import Cost

_POWERS = {1: "O(n)", 2: "O(n²)"}


def cost_plot(costs: Mapping[str, Cost], *, title: str = "", of: str = "clips") -> Figure:
    """Plot CPU seconds over the number n of items on logarithmic axes, with gray lines for O(n) and O(n²).

    The gray lines go through the last points of the fastest and of the slowest method.

    Args:
        costs: measurements by name of the method.
        title: title of the plot.
        of: plural noun for the items that n counts.
    """
    figure, axes = one_panel(6.0, 4.4)
    ends = sorted((cost.seconds[-1] / cost.sizes[-1], cost.sizes[-1], cost.seconds[-1]) for cost in costs.values())
    low = min(cost.sizes[0] for cost in costs.values())
    high = max(cost.sizes[-1] for cost in costs.values())
    for (_, size, seconds), (power, name), dash in zip((ends[0], ends[-1]), _POWERS.items(), (":", "--"), strict=True):
        line = np.array([low, high], np.float64)
        axes.plot(line, seconds * (line / size) ** power, dash, color="0.55", lw=1.2, label=name, zorder=1)
    for number, (name, cost) in enumerate(costs.items()):
        axes.plot(cost.sizes, cost.seconds, "o-", color=line_style(number)[0], lw=1.8, ms=4.5, label=name)
    axes.set(xscale="log", yscale="log", xlabel=f"number n of {of}", ylabel="CPU seconds", title=title)
    # The measured sizes, often doubled, are better ticks than powers of ten.
    axes.set_xticks(sizes := np.unique(np.concatenate([cost.sizes for cost in costs.values()])))
    axes.set_xticklabels([f"{size:,}" for size in sizes], fontsize="small")
    axes.xaxis.set_minor_locator(NullLocator())
    lowest = min(cost.seconds.min() for cost in costs.values())
    axes.set_ylim(bottom=lowest / 3)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    order = [*range(2, len(names)), 0, 1]
    axes.legend([handles[place] for place in order], [names[place] for place in order], frameon=False, fontsize="small")
    return figure
