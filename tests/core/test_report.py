import json
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from earmark.core.report import heading, number_text, page, table, write_page, write_results


def test_cells_cannot_break_a_table() -> None:
    lines = table(["word", ">clips"], [["a|b", "1"], ["two\nlines", "2"]]).split("\n")
    assert lines == ["| word | clips |", "| --- | ---: |", "| a\\|b | 1 |", "| two lines | 2 |"]


def test_a_page_joins_blocks_with_empty_lines(tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "report.md", "# Title", table(["word"], []), "")
    assert (tmp_path / "new" / "report.md").read_text(encoding="utf-8") == "# Title\n\n| word |\n| --- |\n"
    assert page("one") == "one\n"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"value": nan, "margin": 0.1}, "–"),
        ({"value": 0.5}, "50.0"),
        ({"value": 0.5, "margin": 0.02, "low": 0.45, "high": 0.56}, "50.0 ± 2.0 (45.0–56.0)"),
        ({"value": 0.4281, "low": 0.41, "high": 0.45, "percent": False}, "0.428 (0.410–0.450)"),
    ],
)
def test_a_number_shows_what_was_measured_of_it(parts: dict[str, Any], text: str) -> None:
    assert number_text(**parts) == text


def test_results_hold_no_numbers_that_json_lacks(tmp_path: Path) -> None:
    document = heading("few-shot", ["earmark", "evaluate", "my lists"], encoder=("base", "f00"), lists="gsc10")
    write_results(tmp_path / "results.json", {**document, "numbers": {"eer": nan, "auc": (0.5, inf)}})
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert found["command"] == "earmark evaluate 'my lists'"
    assert found["encoder"] == {"name": "base", "fingerprint": "f00"}
    assert found["numbers"] == {"eer": None, "auc": [0.5, None]}
    assert "encoder" not in heading("comparison", [])
