"""The linear probe: logistic regression by scikit-learn."""

import warnings

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import needs

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

STRENGTH = 1.0


def classify_linear(train: Floats, train_labels: Ints, test: Floats, *, classes: int, seed: int = 0) -> Floats:
    """Train a logistic regression on labeled embeddings and classify other embeddings.

    Each dimension is first scaled to mean 0 and variance 1 over the training rows, because encoders differ in scale.

    Args:
        train: shape (n, d).
        train_labels: each of 0 … classes - 1 at least once, shape (n,).
        test: shape (m, d).
        classes: number of words.
        seed: not used, because the solution is unique.

    Returns:
        Logits, shape (m, classes).

    >>> classify_linear(np.array([[0.0], [1]]), np.array([0, 1]), np.array([[-1.0], [2]]), classes=2).argmax(axis=1)
    array([0, 1])
    """
    with needs("evaluate"):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

    del seed
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation = np.where(deviation > 1e-6 * (1e-12 + np.abs(mean)), deviation, 1)
    model = LogisticRegression(C=STRENGTH, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # more iterations hardly change the best word
        model.fit((train - mean) / deviation, train_labels)
    scores = model.decision_function((test - mean) / deviation)
    if classes == 2:  # scikit-learn returns one column
        scores = np.stack([-scores, scores], axis=1)
    return scores
