"""One-vs-rest RBF support vector machines by scikit-learn: the second back-end of Huh et al. 2021."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from earmark.core.config import Settings
from earmark.core.errors import InputError, needs
from earmark.core.vectors import unit

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


class SvmSettings(Settings):
    """Settings of the SVM back-end."""

    c: float = Field(1.0, gt=0, description="Penalty for a training clip on the wrong side of the boundary (svm).")
    gamma: float | None = Field(
        None,
        gt=0,
        description="Factor in the kernel exp(-gamma · ‖a - b‖²) (svm); 1 / (dimensions · variance) if not given.",
    )
    # An encoder trained with an angular loss gives the length of an embedding no meaning.
    unit_rows: bool = Field(True, description="Scale embeddings to unit length first.")
    balanced: bool = Field(False, description="Give the clips of a class and all others the same total weight.")


def margins(queries: Floats, rows: Floats, class_ids: Ints, settings: SvmSettings | None = None) -> Floats:
    """Fit an SVM for each class, and return the values of their decision functions for each query.

    Args:
        queries: shape (n, d).
        rows: training embeddings, shape (m, d).
        class_ids: class of each row, 0 … k-1, shape (m,); -1 for rows of no class, which are negatives of every class.
        settings: settings of the SVMs; None for the defaults.

    Returns:
        Values, shape (n, k); above 0 inside the class.

    Raises:
        InputError: a class has no negatives.
    """
    with needs("evaluate"):
        from sklearn.svm import SVC

    settings = settings or SvmSettings()
    if settings.unit_rows:
        queries, rows = unit(queries), unit(rows)
    columns = []
    for number in range(int(class_ids.max()) + 1):
        is_class = class_ids == number
        if is_class.all():
            raise InputError("svm: there is only one class, which has no negatives; add background clips")
        svm = SVC(
            C=settings.c,
            gamma=settings.gamma or "scale",
            class_weight="balanced" if settings.balanced else None,
            cache_size=500,
        )
        columns.append(svm.fit(rows, is_class).decision_function(queries))
    return np.stack(columns, axis=1)


def scale(rows: Floats) -> float:
    """The default gamma of an SVM that is fitted on embeddings of shape (m, d).

    >>> scale(np.float32([[1, -1], [-1, 1]]))
    0.5
    """
    return float(1 / (rows.shape[1] * rows.var()))
