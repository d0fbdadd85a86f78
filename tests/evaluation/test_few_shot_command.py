import json
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark.cli.evaluate import app
from earmark.core.errors import InputError
from earmark.evaluation.reports import plots


@pytest.fixture
def run(corpus, stand_in, tmp_path, monkeypatch):
    """Run `few-shot` on the tiny corpus with the stand-in encoder; return the result and the results folder."""
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _: stand_in)
    monkeypatch.setenv("COLUMNS", "160")

    def invoke(*words, lists=corpus[0], draw=False):
        if not draw:  # the plots are most of the work
            monkeypatch.setattr(plots, "draw_few_shot", lambda *_, **__: None)
        out = tmp_path / "out"
        command = ["few-shot", str(lists), "--audio", str(corpus[1]), "--out", str(out), *words]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        return result, out

    return invoke


@pytest.mark.parametrize("words", [["--whole"], ["--scoring", "detector"]])
def test_few_shot_writes_the_table_the_results_and_the_plots(run, words):
    result, out = run(*words, draw="detector" in words)
    assert result.exit_code == 0
    assert "k1 × 2" in result.stdout
    assert f"wrote {out}" in result.stdout.replace("\n", "")
    drawn = plots.FILES if "detector" in words else ()
    assert {path.name for path in out.iterdir()} == {"table.md", "results.json", *drawn}
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
    conditions = [
        json.loads((run("--limit-seeds", "1")[1] / "results.json").read_text())["conditions"] for _ in range(2)
    ]
    assert conditions[0] == conditions[1]


def test_options_that_the_detector_ignores_are_refused(run):
    with pytest.raises(InputError, match="--spoken"):
        run("--scoring", "detector", "--whole")


def test_a_folder_without_lists_is_refused_before_the_encoder_is_loaded(run, tmp_path):
    with pytest.raises(InputError, match="clips"):
        run(lists=tmp_path / "clips")


def test_help_shows_an_example():
    result = CliRunner().invoke(app, ["few-shot", "--help"])
    assert "Example: earmark evaluate few-shot trials/gsc10" in result.stdout


@pytest.mark.parametrize("backend", ["prototype", "centroid", "best-take", "svm"])
def test_every_back_end_can_be_chosen_and_is_named_in_the_results(run, backend):
    result, out = run("--backend", backend, "--limit-seeds", "1")
    assert result.exit_code == 0
    assert json.loads((out / "results.json").read_text())["backend"] == backend
    assert f"tiny, {backend}" in result.stdout


def test_only_the_target_words_enroll(run):
    document = json.loads((run("--target-words", "rise")[1] / "results.json").read_text())
    first = document["conditions"][0]["lists"][0]
    assert (first["keywords"], first["takes"], first["clips"], first["impostors"]) == (1, 1, 9, 6)


def test_an_empty_list_of_target_words_is_refused(run):
    with pytest.raises(InputError, match="--target-words"):
        run("--target-words", " ,")


def test_background_clips_are_negatives_of_the_svms(run, corpus):
    lists, _ = corpus
    background = lists / "background.txt"
    background.write_text("other other/3.wav\n")
    for path in lists.glob("test_*.txt"):
        path.write_text(path.read_text().replace("other other/3.wav\n", ""))
    words = ["--backend", "svm", "--target-words", "rise"]
    with pytest.raises(InputError, match="only one class"):
        run(*words)
    assert run(*words, "--background", str(background))[0].exit_code == 0


@pytest.mark.parametrize(
    ("line", "word"),
    [("rise rise/0.wav", "keyword 'rise'"), ("other other/0.wav", "other/0.wav is in the trial lists")],
)
def test_background_clips_of_the_trials_are_refused(run, corpus, line, word):
    background = corpus[0] / "background.txt"
    background.write_text(line + "\n")
    with pytest.raises(InputError, match=word):
        run("--backend", "svm", "--background", str(background))
    with pytest.raises(InputError, match="--background"):
        run("--background", str(background))


class Checkpoint:
    """An embedder as `earmark.training.export.checkpoint_embedder.load_embedder` returns it, with what commands use."""

    name, fingerprint, classes = "learning", "abc", ("rise", "fall")

    def embed_batch(self, waves):
        return np.stack([np.abs(np.fft.rfft(wave, 4096))[:400] for wave in waves]).astype(np.float32)

    def classify(self, embeddings):
        return embeddings[:, :2]


@pytest.fixture
def checkpoint(monkeypatch):
    """A module of the training room that does not import torch."""
    module: Any = ModuleType("earmark.training.export.checkpoint_embedder")
    module.load_embedder = lambda path, **_: Checkpoint() if path.name == "last.safetensors" else None
    monkeypatch.setitem(sys.modules, "earmark.training.export.checkpoint_embedder", module)
    return "runs/words/last.safetensors"


def test_a_checkpoint_is_evaluated_like_an_encoder(run, checkpoint):
    result, out = run("--encoder", checkpoint)
    assert result.exit_code == 0
    assert json.loads((out / "results.json").read_text())["encoder"] == {"name": "learning", "fingerprint": "abc"}


def test_a_checkpoint_has_no_detector_and_no_spoken_part(run, checkpoint):
    with pytest.raises(InputError, match="--scoring"):
        run("--encoder", checkpoint, "--scoring", "detector")
    with pytest.raises(InputError, match="--spoken"):
        run("--encoder", checkpoint, "--spoken")
