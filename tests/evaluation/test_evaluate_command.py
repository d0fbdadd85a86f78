import json

import pytest
from typer.testing import CliRunner

from earmark.cli.evaluate import app
from earmark.errors import InputError


@pytest.fixture
def run(corpus, stand_in, tmp_path, monkeypatch):
    """Runs `few-shot` on the tiny corpus with the stand-in encoder; gives the output and the results folder."""
    monkeypatch.setattr("earmark.encoder.load_encoder", lambda _: stand_in)
    monkeypatch.setenv("COLUMNS", "160")

    def invoke(*words, lists=corpus[0]):
        out = tmp_path / "out"
        command = ["few-shot", str(lists), "--audio", str(corpus[1]), "--out", str(out), *words]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        return result, out

    return invoke


@pytest.mark.parametrize("words", [[], ["--whole"], ["--takes", "best-take"], ["--scoring", "detector"]])
def test_few_shot_writes_the_table_the_plots_and_the_results(run, words):
    result, out = run(*words)
    assert result.exit_code == 0
    assert "k1 × 2" in result.stdout
    assert f"wrote {out}" in result.stdout.replace("\n", "")
    assert sorted(path.name for path in out.iterdir()) == ["det.png", "results.json", "scores.png", "table.md"]
    document = json.loads((out / "results.json").read_text())
    assert [condition["name"] for condition in document["conditions"]] == ["k1", "k2"]
    assert document["encoder"]["fingerprint"] == "57a4d1" * 8
    interval = document["conditions"][0]["numbers"]["auc"]
    assert interval["low"] <= interval["mean"] <= interval["high"]
    assert "| k1 | stand-in |" in (out / "table.md").read_text()


def test_limit_seeds_reads_only_the_first_lists(run):
    _, out = run("--limit-seeds", "1")
    document = json.loads((out / "results.json").read_text())
    assert [one["name"] for condition in document["conditions"] for one in condition["lists"]] == ["k1_s0", "k2_s0"]


def test_two_runs_give_the_same_numbers(run):
    conditions = [json.loads((run()[1] / "results.json").read_text())["conditions"] for _ in range(2)]
    assert conditions[0] == conditions[1]


def test_options_that_the_detector_ignores_are_refused(run):
    with pytest.raises(InputError, match="--whole and --takes"):
        run("--scoring", "detector", "--whole")


def test_a_folder_without_lists_is_refused_before_the_encoder_is_loaded(run, tmp_path):
    with pytest.raises(InputError, match="no list named"):
        run(lists=tmp_path / "clips")


def test_help_shows_an_example():
    result = CliRunner().invoke(app, ["few-shot", "--help"])
    assert "Example: earmark evaluate few-shot trials/gsc10" in result.stdout
