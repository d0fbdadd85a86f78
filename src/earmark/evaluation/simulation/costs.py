"""Measured CPU times of methods by number of items, and the CSV file that holds them."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.files import write_text

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Cost:
    """Measured CPU times of one method by number of items.

    Attributes:
        sizes: numbers of items, ascending, above 0, shape (m,).
        seconds: CPU seconds, above 0, shape (m,).
    """

    sizes: Ints
    seconds: Floats


def write_costs(path: Path, costs: Mapping[str, Cost]) -> None:
    """Write the CPU times of methods, by name, as CSV: a column `n` of sizes, and a column of seconds per method.

    All methods must have the same sizes.
    """
    (sizes,) = {tuple(cost.sizes.tolist()) for cost in costs.values()}
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["n", *costs])
    table.writerows(zip(sizes, *(map(repr, cost.seconds.tolist()) for cost in costs.values()), strict=True))
    write_text(path, text.getvalue())


def read_costs(path: Path) -> dict[str, Cost]:
    """Read the CPU times of methods, by name, from a CSV file of `write_costs`.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        values = np.array(rows, np.float64)
        return {name: Cost(values[:, 0].astype(int), values[:, column]) for column, name in enumerate(header) if column}
    except (OSError, ValueError, IndexError):
        raise InputError(f"{path}: missing or not a table of CPU times; delete it, and measure again") from None
