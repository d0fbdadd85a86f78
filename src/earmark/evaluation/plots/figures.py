"""What all pictures share: figures without global state, colours, files."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

# Okabe & Ito's colours, told apart by colour-blind readers; the yellow is too pale for a line and left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
GREYS = ("0.72", "0.45", "0.25")


def empty_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, drawn without a window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def one_panel(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    figure = empty_figure(width, height)
    return figure, figure.subplots()


def line_style(index: int) -> tuple[str, str]:
    """Colour and dashes of a line; 28 of them differ."""
    return COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]


def word_colours(words: Sequence[str]) -> dict[str, str]:
    """A colour for each word, none of them grey; beyond ten words, hues in pairs of light and dark.

    >>> word_colours(["yes", "no"])
    {'yes': '#1f77b4', 'no': '#ff7f0e'}
    """
    if len(words) <= 10:
        strong = [to_hex(colormaps["tab10"](number)) for number in range(10)]
        strong[7] = "#000000"  # in place of grey
        return dict(zip(words, strong, strict=False))
    pairs = (len(words) + 1) // 2
    found = {}
    for number, word in enumerate(words):
        red, green, blue, _ = colormaps["hsv"](number // 2 / pairs)
        shade = 0.4 if number % 2 else 0.85
        found[word] = to_hex((red * shade, green * shade, blue * shade))
    return found


def save(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write a figure; the suffix says the format (.png, .svg, .pdf)."""
    figure.savefig(path, dpi=dpi)
