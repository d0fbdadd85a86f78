"""What a spatial simulation leaves behind: a table with a row a repetition, and a file of arrays for each.

A folder of a run (:mod:`earmark.training.spatial.simulation`) holds

- ``settings.json``: the settings, and ``classes``, the words in the order of every vector and number below;
- ``results.csv``: the columns :data:`COLUMNS`, a row a repetition, in order. The features that are learned with the
  position stand beside MFCC. Every number is a fraction from 0 to 1, a vector has one for each class, as JSON;
- ``results-plain.csv``: the same table for the auto-encoder without position, the ablation;
- ``repetition-01.npz``, …: a :class:`Repetition`;
- ``spatial-01.safetensors``, ``plain-01.safetensors``, …: the auto-encoders, as checkpoints that evaluations open.
"""

import csv
import io
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Names = NDArray[np.str_]

RESULTS = "results.csv"
PLAIN_RESULTS = "results-plain.csv"

_NUMBERS = ("error", "precision", "recall", "weighted_precision", "weighted_recall")
COLUMNS = tuple(f"{system}_{number}" for system in ("mfcc", "ae") for number in _NUMBERS)


@dataclass(frozen=True)
class Scores:
    """How well a system told the words apart in one repetition; all are fractions from 0 to 1.

    Attributes:
        error: share of the clips that were taken for another word.
        precision: of each class, the share of the clips taken for it that are of it, shape (c,); 0 where none was.
        recall: of each class, the share of its clips that were taken for it, shape (c,); 0 where there is none.
        weighted_precision: mean of the precisions, each weighed with the clips that are of the class.
        weighted_recall: likewise of the recalls: the accuracy.
    """

    error: float
    precision: Floats
    recall: Floats
    weighted_precision: float
    weighted_recall: float


def score(labels: Ints, predictions: Ints, classes: int) -> Scores:
    """Count right and wrong.

    Args:
        labels: class of each clip, shape (m,).
        predictions: class that each was taken for, shape (m,).
        classes: how many there are.

    Raises:
        InputError: no clip.

    >>> scores = score(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
    >>> scores.error, scores.precision.tolist(), scores.recall.tolist()
    (0.25, [1.0, 0.5], [0.666..., 1.0])
    """
    if not len(labels):
        raise InputError("score: no clip to count; test on one or more")
    right = np.bincount(labels[labels == predictions], minlength=classes)
    of_class = np.bincount(labels, minlength=classes)
    taken = np.bincount(predictions, minlength=classes)
    precision, recall = right / np.maximum(taken, 1), right / np.maximum(of_class, 1)
    share = of_class / len(labels)
    return Scores(
        float(1 - right.sum() / len(labels)), precision, recall, float(precision @ share), float(recall @ share)
    )


def row_of(mfcc: Scores, learned: Scores) -> dict[str, str]:
    """A row of the table, by column."""
    values = [getattr(scores, number) for scores in (mfcc, learned) for number in _NUMBERS]
    cells = [json.dumps(value.tolist()) if isinstance(value, np.ndarray) else repr(value) for value in values]
    return dict(zip(COLUMNS, cells, strict=True))


def read_results(path: Path) -> list[tuple[Scores, Scores]]:
    """A table: for each repetition the scores of MFCC and those of the learned features.

    Raises:
        InputError: no such file, other columns, or a cell that is no number.
    """
    return [_scores_of(row, f"{path}, row {number}") for number, row in enumerate(read_rows(path), 1)]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table as they stand there.

    Raises:
        InputError: no such file, or other columns.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(f"{path}: no such results; run earmark spatial first") from None
    table = csv.DictReader(io.StringIO(text))
    if tuple(table.fieldnames or ()) != COLUMNS:
        raise InputError(f"{path}: not results of a simulation, whose columns are {', '.join(COLUMNS)}")
    return list(table)


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a table in one step: it is there and whole, or as it was before."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text.getvalue(), encoding="utf-8", newline="")
    partial.replace(path)


def _scores_of(row: dict[str, str], where: str) -> tuple[Scores, Scores]:
    try:
        values = [json.loads(row[column]) for column in COLUMNS]
        found: list[Any] = [np.array(value, float) if isinstance(value, list) else float(value) for value in values]
    except (TypeError, ValueError):
        raise InputError(f"{where}: a cell is no number; delete the file and run earmark spatial again") from None
    half = len(_NUMBERS)
    mfcc, learned = (Scores(*part) for part in (found[:half], found[half:]))
    return mfcc, learned


@dataclass(frozen=True)
class Repetition:
    """One repetition in arrays. ``plain`` is the auto-encoder without position, ``spatial`` the one with it.

    Attributes:
        classes: the words, shape (c,).
        labeled_paths: files of the labeled clips, shape (l,); those that train and those that validate.
        labeled_labels: class of each, shape (l,).
        labeled_speakers: who speaks, shape (l,); empty where nobody knows.
        labeled_mfcc: their MFCC, shape (l, 640), of each coefficient all frames.
        labeled_plain: their embeddings, shape (l, d).
        labeled_spatial: likewise.
        test_paths: files of the test clips, shape (m,).
        test_labels: class of each, shape (m,).
        test_speakers: who speaks, shape (m,).
        mfcc_predictions: class that the convolutions on MFCC took each test clip for, shape (m,).
        plain_predictions: likewise the classifier on embeddings.
        spatial_predictions: likewise.
        positions: of the unlabeled clips to each anchor, as the head learned them, shape (n, k).
        plain_loss: mean loss of each epoch of the auto-encoder, shape (epochs,).
        spatial_loss: likewise.
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
        """How well ``mfcc``, ``plain`` or ``spatial`` told the test clips apart."""
        return score(self.test_labels, getattr(self, f"{system}_predictions"), len(self.classes))

    def save(self, path: Path) -> None:
        """Write the arrays in one step."""
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as file:
            # Named as a mapping's keys: savez has parameters of its own.
            arrays: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
            np.savez(file, **arrays)
        partial.replace(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: no such file, or another one.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                return cls(**{field.name: arrays[field.name] for field in fields(cls)})
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise InputError(f"{path}: no repetition of a simulation ({error}); run earmark spatial again") from None


def repetition_path(folder: Path, number: int) -> Path:
    """Where a run keeps a repetition; the first is number 1."""
    return folder / f"repetition-{number:02}.npz"
