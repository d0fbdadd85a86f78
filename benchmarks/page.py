"""The command line of a benchmark, and the page that it writes."""

import argparse
from pathlib import Path

from earmark.core.files import write_text

RESULTS = Path("benchmarks/results")


def options_parser(description: str, page: str) -> argparse.ArgumentParser:
    """A parser with the option --out, the file of the page.

    Args:
        description: docstring of the benchmark, shown by --help as it is.
        page: name of the page in `RESULTS`, the default of --out.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / page)
    return parser


def write_page(path: Path, text: str) -> None:
    """Write a page of Markdown and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text + "\n")
    print(text)
