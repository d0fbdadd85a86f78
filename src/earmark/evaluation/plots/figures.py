"""What all plots share: how to make a figure without pyplot's global state, choose colors and fonts, and save it."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps, font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

# The colors of Okabe & Ito for color-blind readers, without yellow, which is too pale for a line.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
_MANY_LETTERS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Microsoft YaHei",
    "Arial Unicode MS",
)
GREYS = ("0.72", "0.45", "0.25")


def empty_figure(width: float, height: float) -> Figure:
    """Make an empty figure that opens no window; width and height in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def one_panel(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes; width and height in inches."""
    figure = empty_figure(width, height)
    return figure, figure.subplots()


def line_style(index: int) -> tuple[str, str]:
    """Color and dash pattern of a line; the first 28 indices give different styles."""
    return COLORS[index % len(COLORS)], DASHES[index // len(COLORS) % len(DASHES)]


def word_colors(words: Sequence[str]) -> dict[str, str]:
    """Choose a color for each word, never gray; more than ten words get hues in pairs of light and dark.

    >>> word_colors(["yes", "no"])
    {'yes': '#1f77b4', 'no': '#ff7f0e'}
    """
    if len(words) <= 10:
        strong = [to_hex(colormaps["tab10"](number)) for number in range(10)]
        strong[7] = "#000000"  # in place of gray
        return dict(zip(words, strong, strict=False))
    pairs = (len(words) + 1) // 2
    found = {}
    for number, word in enumerate(words):
        red, green, blue, _ = colormaps["hsv"](number // 2 / pairs)
        shade = 0.4 if number % 2 else 0.85
        found[word] = to_hex((red * shade, green * shade, blue * shade))
    return found


def word_families() -> list[str]:
    """Font families for words in any script: Matplotlib's own family, then installed families with more letters."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(family for family in _MANY_LETTERS if family in installed)]


def save(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write a figure in the format of the suffix (.png, .svg, .pdf)."""
    with warnings.catch_warnings():
        # Matplotlib draws a box for a letter that no font has, which needs no warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=dpi)
