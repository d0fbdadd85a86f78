import json

import pytest
from typer.testing import CliRunner

from earmark.cli.evaluate import app
from earmark.core.errors import InputError
from earmark.evaluation.protocols import open_set
from earmark.evaluation.protocols.open_set.decisions import C_GRID
from earmark.evaluation.reports import plots


@pytest.fixture
def run(corpus, stand_in, tmp_path, monkeypatch):
    """Run `open-set` on the tiny corpus: two voices for training, two for testing; the word `other` is unknown."""
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _: stand_in)
    monkeypatch.setenv("COLUMNS", "160")
    lists = tmp_path / "open"
    lists.mkdir()
    for name, voices in {"train": (0, 1), "test": (2, 3)}.items():
        lines = [f"{label} {label}/{voice}.wav" for label in ("rise", "fall", "other") for voice in voices]
        (lists / f"{name}.txt").write_text("\n".join(lines) + "\n")

    def invoke(*words, targets="rise,fall", draw=False):
        if not draw:  # the plots are most of the work
            monkeypatch.setattr(plots, "draw_open_set", lambda *_, **__: None)
        out = tmp_path / "out"
        command = ["open-set", str(lists), "--audio", str(corpus[1]), "--targets", targets, "--out", str(out), *words]
        return CliRunner().invoke(app, command, catch_exceptions=False), out

    return invoke


@pytest.mark.parametrize(("backend", "unknown"), [("centroid", "cluster"), ("svm", "threshold")])
def test_open_set_writes_the_table_the_results_and_the_plots(run, backend, unknown):
    result, out = run("--backend", backend, "--unknown", unknown, draw=unknown == "threshold")
    assert result.exit_code == 0
    assert "target accuracy" in result.stdout
    drawn = plots.FILES if unknown == "threshold" else ()
    assert {path.name for path in out.iterdir()} == {"table.md", "results.json", *drawn}
    document = json.loads((out / "results.json").read_text())
    assert document["kind"] == "open-set"
    assert (document["result"]["backend"], document["result"]["unknown"]) == (backend, unknown)
    assert list(document["result"]["numbers"]) == list(open_set.METRICS)
    assert document["result"]["numbers"]["non_target_accuracy_unseen"]["value"] is None  # no unseen unknowns
    assert document["result"]["confusion"]["rows"] == ["rise", "fall", "seen unknown"]
    assert f"| stand-in | {backend} | {unknown} |" in (out / "table.md").read_text()


@pytest.mark.parametrize("backend", ["prototype", "best-take"])
def test_every_back_end_can_be_chosen(run, backend):
    result, out = run("--backend", backend)
    assert result.exit_code == 0
    assert json.loads((out / "results.json").read_text())["result"]["numbers"]["target_accuracy"]["value"] == 1


def test_the_settings_of_svms_are_given_or_searched(run):
    _, out = run("--backend", "svm", "--svm-c", "3", "--svm-gamma", "0.5")
    svm = json.loads((out / "results.json").read_text())["result"]["svm"]
    assert (svm["c"], svm["gamma"]) == (3, 0.5)
    _, out = run("--backend", "svm", "--svm-search")
    assert json.loads((out / "results.json").read_text())["result"]["svm"]["c"] in C_GRID


def test_settings_of_svms_are_refused_for_other_back_ends(run):
    with pytest.raises(InputError, match="--backend"):
        run("--svm-c", "3")


def test_an_encoder_without_classes_cannot_classify(run):
    with pytest.raises(InputError, match="classifier"):
        run("--backend", "classifier")


def test_a_target_without_clips_is_named(run):
    with pytest.raises(InputError, match="no clip of target 'bow'"):
        run(targets="rise,bow")


def test_help_shows_an_example():
    result = CliRunner().invoke(app, ["open-set", "--help"])
    assert "Example: earmark evaluate open-set LISTS" in result.stdout
