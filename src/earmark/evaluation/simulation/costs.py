"""Measured times over the number of things, and the table that keeps them."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Cost:
    """How long one way to do something takes.

    Attributes:
        sizes: how many there were, shape (m,), rising, above 0.
        seconds: of CPU that it took, shape (m,), above 0.
    """

    sizes: Ints
    seconds: Floats


def write_costs(path: Path, costs: Mapping[str, Cost]) -> None:
    """Write a table: a column `n`, and the seconds of each way, all of the same sizes, under its name."""
    (sizes,) = {tuple(cost.sizes.tolist()) for cost in costs.values()}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["n", *costs])
        table.writerows(zip(sizes, *(map(repr, cost.seconds.tolist()) for cost in costs.values()), strict=True))


def read_costs(path: Path) -> dict[str, Cost]:
    """Read a table that `write_costs` wrote.

    Raises:
        InputError: no such file, or another one.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        values = np.array(rows, np.float64)
        return {name: Cost(values[:, 0].astype(int), values[:, column]) for column, name in enumerate(header) if column}
    except (OSError, ValueError, IndexError):
        raise InputError(f"{path}: no table of measured times; delete it, and measure again") from None
