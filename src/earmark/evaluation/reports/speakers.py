"""Reports of speaker verification and speaker identification."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.report import page, table
from earmark.evaluation.estimates import Estimate
from earmark.evaluation.protocols import identification, verification

Floats = NDArray[np.floating]
Numbers = Mapping[str, Estimate]

VERIFICATION_COLUMNS = (
    "score",
    *(f">{name} (%)" if key == "eer" else f">{name}" for key, name in verification.METRICS.items()),
)
IDENTIFICATION_COLUMNS = ("metric", ">%")
ANSWER_COLUMNS = ("path", "speaker", "answer", "place")


def verification_rows(results: Mapping[str, Numbers]) -> list[list[str]]:
    """Rows of a verification table, one per kind of score; the EER is in percent, costs are not.

    >>> numbers = {"eer": Estimate(0.042, 0, 0.1), "min_dcf_0_01": Estimate(0.4281, 0.41, 0.45)}
    >>> verification_rows({"cosine": numbers | {"min_dcf_0_001": Estimate(1, 1, 1)}})
    [['cosine', '4.2 (0.0–10.0)', '0.428 (0.410–0.450)', '1.000 (1.000–1.000)']]
    """
    return [
        [score, *(numbers[key].text(percent=key == "eer") for key in verification.METRICS)]
        for score, numbers in results.items()
    ]


def verification_markdown(system: str, results: Mapping[str, Numbers]) -> str:
    """Markdown table of verification metrics with one row per kind of score."""
    return page(table(["system", *VERIFICATION_COLUMNS], ([system, *row] for row in verification_rows(results))))


def verification_document(results: Mapping[str, Numbers]) -> dict[str, Any]:
    """Content of `results.json` of a verification: every metric by kind of score."""
    return {
        "numbers": verification.METRICS,
        "results": {score: _document(numbers) for score, numbers in results.items()},
    }


def identification_rows(numbers: Numbers) -> list[list[str]]:
    """Rows of an identification table, one per metric."""
    return [[name, numbers[key].text()] for key, name in identification.METRICS.items()]


def identification_markdown(systems: Mapping[str, Numbers]) -> str:
    """Markdown table of identification metrics with one row per system, in percent."""
    columns = ["system", *(f">{name} (%)" for name in identification.METRICS.values())]
    lines = [[system, *(numbers[key].text() for key in identification.METRICS)] for system, numbers in systems.items()]
    return page(table(columns, lines))


def identification_document(numbers: Numbers) -> dict[str, Any]:
    """Content of `results.json` of an identification: every metric, as fractions."""
    return {"numbers": identification.METRICS, "result": _document(numbers)}


def answers_text(paths: Sequence[str], labels: Sequence[str], classes: Sequence[str], logits: Floats) -> str:
    """Text of `answers.tsv`: for each recording, its speaker, the best class, and the rank of the speaker, from 1."""
    answers = [classes[best] for best in logits.argmax(axis=1)]
    places = (identification.ranks(logits, classes, labels) + 1).tolist()
    lines = zip(paths, labels, answers, map(str, places), strict=True)
    return "".join("\t".join(line) + "\n" for line in (ANSWER_COLUMNS, *lines))


def _document(numbers: Numbers) -> dict[str, Any]:
    return {key: asdict(estimate) for key, estimate in numbers.items()}
