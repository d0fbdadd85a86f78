import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from earmark.core.numbers import finite
from earmark.evaluation.confusion import Confusion
from earmark.evaluation.protocols import few_shot, open_set
from earmark.evaluation.protocols.open_set import Estimate, OpenSetResult
from earmark.evaluation.protocols.trials import find_pairs
from earmark.evaluation.reports import few_shot as report
from earmark.evaluation.reports import open_set as open_set_report


@pytest.fixture
def results(corpus, stand_in):
    lists, clips = corpus
    return few_shot.compute_metrics(few_shot.score_clips(find_pairs(lists), clips, stand_in.embed))


def test_the_document_has_every_metric_of_every_list_and_condition(results):
    document = json.loads(json.dumps(finite(report.document(results))))
    k1, k2 = document["conditions"]
    assert [one["name"] for one in k1["lists"]] == ["k1_s0", "k1_s1"]
    assert k1["lists"][0]["numbers"] == pytest.approx(results[0].lists[0].numbers)
    assert set(k1["numbers"]["eer"]) == {"mean", "sd", "low", "high"}
    assert k2["numbers"]["eer"]["sd"] is None


def test_the_table_has_peers_in_each_condition(results):
    renamed = [replace(result, name=name) for result, name in zip(results, ["k1", "k5"], strict=True)]
    lines = report.markdown({"base": renamed}, report.peers_for("gsc10")).splitlines()
    assert lines[0] == (
        "| lists | system | closed-set accuracy (%) | macro F1 (%) | EER (%) | FRR at FAR 10 % (%) "
        "| FRR at FAR 2.5 % (%) | FRR at FAR 1 % (%) | right and accepted with 5 % of impostors let in (%) |"
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:8]]
    assert [row[:2] for row in rows] == [
        ["k1", "base"],
        ["k1", "*Google speech_embedding, mean of frames*"],
        ["k1", "*EfficientWord-Net*"],
        ["k5", "base"],
        ["k5", "*Google speech_embedding, mean of frames*"],
        ["k5", "*EfficientWord-Net*"],
    ]
    assert rows[0][2] == "100.0 ± 0.0"
    assert rows[4][2:] == ["*90.2*", "–", "*8.4*", "–", "*21.1*", "–", "–"]
    assert "measured on these lists" in lines[-1]


def test_other_lists_have_no_peers(results):
    assert report.peers_for("arabic40") == ()
    assert "*" not in report.markdown({"base": results}, report.peers_for("arabic40"))


def test_every_peer_names_its_source_and_only_numbers_that_are_measured():
    for peer in report.peers_for("gsc10"):
        assert peer.source
        assert all(set(numbers) <= set(few_shot.METRICS) for numbers in peer.numbers.values())


@pytest.mark.corpora
def test_the_quoted_peers_are_those_of_the_design():
    design = Path(os.environ.get("EARMARK_DATA", "../shared/data")).parent / "docs" / "DESIGN.md"
    if not design.is_file():
        pytest.skip(f"no {design}; set EARMARK_DATA")
    text = design.read_text().split("Measured on other systems with these very lists")[1].split("2. **Streams**")[0]
    stated = re.findall(r"k=(\d+) (\d+\.\d)/(\d+\.\d)/(\d+\.\d)", text)
    quoted = [
        (condition[1:], *(str(value) for value in numbers.values()))
        for peer in report.peers_for("gsc10")
        for condition, numbers in peer.numbers.items()
    ]
    assert quoted == stated


def test_the_open_set_table_has_one_row_per_system_and_intervals():
    numbers = {key: Estimate(0.9, 0.85, 0.95) for key in open_set.METRICS} | {"map": Estimate(math.nan, 0, 0)}
    clips = {"train": 1, "validation": 0, "target": 1, "seen_unknown": 1, "unseen_unknown": 0}
    result = OpenSetResult(("yes",), "svm", "cluster", None, None, clips, numbers, Confusion((), (), ()))
    head, _, row = open_set_report.markdown({"base": result}).splitlines()
    assert head.startswith("| system | back-end | unknown by | target accuracy (%) |")
    assert row.startswith("| base | svm | cluster | 90.0 (85.0–95.0) |")
    assert "| – |" in row
