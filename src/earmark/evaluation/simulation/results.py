"""Results of a spatial simulation: tables with one row per repetition, and a file of arrays for each repetition.

The folder of a run (`earmark.training.spatial.simulation`) has

- `settings.json`: the settings, and `classes`, the words in the order of all vectors and class numbers;
- `results.csv`: the columns `COLUMNS`, one row per repetition, for MFCC and for the auto-encoder with position. Numbers
  are fractions; vectors have one number per class, as JSON;
- `results-plain.csv`: the same table for the auto-encoder without position, the ablation;
- `repetition-01.npz`, …: a `Repetition` each;
- `spatial-01.safetensors`, `plain-01.safetensors`, …: checkpoints of the auto-encoders, for evaluations.
"""

import csv
import io
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import read_arrays, write_arrays
from earmark.core.errors import InputError
from earmark.core.files import write_text

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Names = NDArray[np.str_]

RESULTS = "results.csv"
PLAIN_RESULTS = "results-plain.csv"

_NUMBERS = ("error", "precision", "recall", "weighted_precision", "weighted_recall")
COLUMNS = tuple(f"{system}_{number}" for system in ("mfcc", "ae") for number in _NUMBERS)


@dataclass(frozen=True)
class Scores:
    """Metrics of one system in one repetition; fractions.

    Attributes:
        error: share of wrong predictions.
        precision: precision of each class, shape (c,); 0 if the class is never predicted.
        recall: recall of each class, shape (c,); 0 if the class has no clip.
        weighted_precision: mean of the precisions, weighted by the number of clips of the classes.
        weighted_recall: mean of the recalls, weighted in the same way, which is the accuracy.
    """

    error: float
    precision: Floats
    recall: Floats
    weighted_precision: float
    weighted_recall: float


def score(labels: Ints, predictions: Ints, classes: int) -> Scores:
    """Compute the metrics of predictions.

    Args:
        labels: class of each clip, shape (m,).
        predictions: predicted class of each clip, shape (m,).
        classes: number of classes.

    Raises:
        InputError: there is no clip.

    >>> scores = score(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
    >>> scores.error, scores.precision.tolist(), scores.recall.tolist()
    (0.25, [1.0, 0.5], [0.666..., 1.0])
    """
    if not len(labels):
        raise InputError("labels: the test has no clips; test on at least one clip")
    right = np.bincount(labels[labels == predictions], minlength=classes)
    of_class = np.bincount(labels, minlength=classes)
    predicted = np.bincount(predictions, minlength=classes)
    precision, recall = right / np.maximum(predicted, 1), right / np.maximum(of_class, 1)
    share = of_class / len(labels)
    return Scores(
        float(1 - right.sum() / len(labels)), precision, recall, float(precision @ share), float(recall @ share)
    )


def row_of(mfcc: Scores, learned: Scores) -> dict[str, str]:
    """Format the metrics of MFCC and of an auto-encoder in one repetition as a row of results.csv: text by column."""
    values = [getattr(scores, number) for scores in (mfcc, learned) for number in _NUMBERS]
    cells = [json.dumps(value.tolist()) if isinstance(value, np.ndarray) else repr(value) for value in values]
    return dict(zip(COLUMNS, cells, strict=True))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table of results, each as text by column.

    Raises:
        InputError: the file is missing or has other columns.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(f"{path}: no such results; run earmark spatial first") from None
    table = csv.DictReader(io.StringIO(text))
    if tuple(table.fieldnames or ()) != COLUMNS:
        raise InputError(
            f"{path}: not results of a simulation, which have the columns {', '.join(COLUMNS)}; run earmark spatial"
            " again"
        )
    return list(table)


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a table of results atomically."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


@dataclass(frozen=True)
class Repetition:
    """Data, embeddings and predictions of one repetition of the spatial simulation, as arrays.

    `plain` is an auto-encoder of MFCC. `spatial` is an auto-encoder that also learns the position of each clip: its
    distances to the mean MFCC of each class, the anchors (Humayun et al. 2021).

    Attributes:
        classes: words, shape (c,).
        labeled_paths: files of the labeled clips, for training and validation, shape (l,).
        labeled_labels: class of each labeled clip, shape (l,).
        labeled_speakers: speaker of each labeled clip, shape (l,); empty where unknown.
        labeled_mfcc: MFCC of the labeled clips, coefficient by coefficient, shape (l, 640).
        labeled_plain: embeddings of the labeled clips by `plain`, shape (l, d).
        labeled_spatial: embeddings of the labeled clips by `spatial`, shape (l, d).
        test_paths: files of the test clips, shape (m,).
        test_labels: class of each test clip, shape (m,).
        test_speakers: speaker of each test clip, shape (m,).
        mfcc_predictions: predictions of the convolutional network on MFCC, shape (m,).
        plain_predictions: predictions of the classifier on embeddings by `plain`, shape (m,).
        spatial_predictions: predictions of the classifier on embeddings by `spatial`, shape (m,).
        positions: learned positions of the unlabeled clips relative to each anchor, shape (n, k).
        plain_loss: mean loss of `plain` in each epoch, shape (epochs,).
        spatial_loss: mean loss of `spatial` in each epoch, shape (epochs,).
    """

    classes: Names
    labeled_paths: Names
    labeled_labels: Ints
    labeled_speakers: Names
    labeled_mfcc: Floats
    labeled_plain: Floats
    labeled_spatial: Floats
    test_paths: Names
    test_labels: Ints
    test_speakers: Names
    mfcc_predictions: Ints
    plain_predictions: Ints
    spatial_predictions: Ints
    positions: Floats
    plain_loss: Floats
    spatial_loss: Floats

    def scores(self, system: str) -> Scores:
        """Metrics of the system `mfcc`, `plain` or `spatial` on the test clips."""
        return score(self.test_labels, getattr(self, f"{system}_predictions"), len(self.classes))

    def save(self, path: Path) -> None:
        """Write the arrays to an .npz file atomically."""
        write_arrays(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the file of a repetition.

        Raises:
            InputError: the file is missing or damaged.
        """
        cure = "run earmark spatial again"
        arrays = read_arrays(path, cure)
        try:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})
        except KeyError as error:
            raise InputError(f"{path}: the file has no array {error}; {cure}") from None


def repetition_path(folder: Path, number: int) -> Path:
    """File of a repetition in the folder of a run; the first repetition has number 1."""
    return folder / f"repetition-{number:02}.npz"
