"""What the evaluations of speakers leave behind: `results.json` for machines, a Markdown table for people."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from earmark.evaluation.protocols import identification, verification
from earmark.evaluation.protocols.open_set import Estimate
from earmark.evaluation.reports.spotting import estimate_text, heading, table_row, write_document

Numbers = Mapping[str, Estimate]


VERIFICATION_COLUMNS = tuple(f"{words} (%)" if key == "eer" else words for key, words in verification.METRICS.items())
"""Heads of the columns that `verification_text` fills."""


def verification_table(rows: Mapping[tuple[str, str], Numbers]) -> str:
    """A Markdown table with a row for each system and kind of score; the EER in percent, costs as they are.

    Args:
        rows: from `verification.compute_metrics`, by the system's name and the kind of score.

    Returns:
        Lines that end in a line break.
    """
    columns = ["system", "score", *VERIFICATION_COLUMNS]
    lines = [table_row(columns), table_row(["---", "---", *["---:"] * len(verification.METRICS)])]
    for (system, score), numbers in rows.items():
        lines.append(
            table_row([system, score, *(verification_text(key, numbers[key]) for key in verification.METRICS)])
        )
    return "\n".join(lines) + "\n"


def verification_text(key: str, estimate: Estimate) -> str:
    """An EER as percent, a cost with three decimals, each with its interval.

    >>> verification_text("min_dcf_0_01", Estimate(0.4281, 0.41, 0.45))
    '0.428 (0.410–0.450)'
    >>> verification_text("eer", Estimate(0.042, 0, 0.1))
    '4.2 (0.0–10.0)'
    """
    if key == "eer" or math.isnan(estimate.value):
        return estimate_text(estimate)
    interval = "" if math.isnan(estimate.low) else f" ({estimate.low:.3f}–{estimate.high:.3f})"
    return f"{estimate.value:.3f}{interval}"


def identification_table(rows: Mapping[str, Numbers]) -> str:
    """A Markdown table with a row for each system, in percent; ends in a line break."""
    lines = [
        table_row(["system", *(f"{words} (%)" for words in identification.METRICS.values())]),
        table_row(["---", *["---:"] * len(identification.METRICS)]),
        *(
            table_row([system, *(estimate_text(numbers[key]) for key in identification.METRICS)])
            for system, numbers in rows.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def write_verification_results(
    path: Path,
    results: Mapping[str, Numbers],
    *,
    command: Sequence[str],
    encoder: str,
    fingerprint: str,
    lists: str,
    about: Mapping[str, Any],
) -> None:
    """Write `results.json` of a verification; NaN becomes null.

    Args:
        path: of the file.
        results: from `verification.compute_metrics`, by the kind of score.
        command: the words of the command line.
        encoder: its name.
        fingerprint: of the encoder's file.
        lists: name of the list or manifest.
        about: what else was chosen or counted, such as crops and pairs.
    """
    document = {
        **heading("verification", command, encoder, fingerprint, lists),
        **about,
        "numbers": verification.METRICS,
        "results": {
            score: {key: asdict(value) for key, value in numbers.items()} for score, numbers in results.items()
        },
    }
    write_document(path, document)


def write_identification_results(
    path: Path,
    result: Numbers,
    *,
    command: Sequence[str],
    encoder: str,
    fingerprint: str,
    lists: str,
    about: Mapping[str, Any],
) -> None:
    """Write `results.json` of an identification; arguments as `write_verification_results`."""
    document = {
        **heading("identification", command, encoder, fingerprint, lists),
        **about,
        "numbers": identification.METRICS,
        "result": {key: asdict(value) for key, value in result.items()},
    }
    write_document(path, document)
