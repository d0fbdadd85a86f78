"""One RBF support vector machine a class against all the rest, by scikit-learn (Huh et al. 2021's second back-end)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Svm:
    """Settings of the machines.

    Attributes:
        c: price of a clip on the wrong side, above 0.
        gamma: of the kernel exp(-gamma · ‖a - b‖²), above 0; `scale`: 1 / (d · variance of the rows' numbers).
        unit_rows: rows are made unit length first. What an angular loss has trained says nothing by its length.
        balanced: a class's clips and the rest weigh the same together, however many there are of each.
    """

    c: float = 1.0
    gamma: float | Literal["scale"] = "scale"
    unit_rows: bool = True
    balanced: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.c > 0:
            raise InputError(f"svm c {self.c}: a number above 0 is needed")
        if isinstance(self.gamma, str) and self.gamma != "scale":
            raise InputError(f"svm gamma {self.gamma!r}: a number above 0, or 'scale'")
        if not isinstance(self.gamma, str) and not self.gamma > 0:
            raise InputError(f"svm gamma {self.gamma}: a number above 0, or 'scale'")


def margins(queries: Floats, rows: Floats, owners: Ints, settings: Svm | None = None) -> Floats:
    """How far each query lies on each class's side of the machine that tells that class from all other rows.

    Args:
        queries: shape (n, d).
        rows: what the machines are fitted on, shape (m, d).
        owners: shape (m,), the class of each row, 0 … k-1; -1 for rows that are of no class and only stand against.
        settings: of the machines; None for the defaults.

    Returns:
        Values of the decision functions, shape (n, k); above 0 on the class's side.

    Raises:
        InputError: a class that nothing stands against.
    """
    from sklearn.svm import SVC

    settings = settings or Svm()
    if settings.unit_rows:
        queries, rows = unit(queries), unit(rows)
    size = int(owners.max()) + 1
    columns = []
    for number in range(size):
        is_class = owners == number
        if is_class.all():
            raise InputError("svm: one class alone; it needs clips that say something else (background)")
        machine = SVC(
            C=settings.c, gamma=settings.gamma, class_weight="balanced" if settings.balanced else None, cache_size=500
        )
        columns.append(machine.fit(rows, is_class).decision_function(queries))
    return np.stack(columns, axis=1)


def scale(rows: Floats) -> float:
    """What gamma = `scale` is for these rows, shape (m, d).

    >>> scale(np.float32([[1, -1], [-1, 1]]))
    0.5
    """
    return float(1 / (rows.shape[1] * rows.var()))


def unit(rows: Floats) -> Floats:
    """Rows, shape (n, d), made unit length; a row of zeros stays as it is, alike to nothing."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
