from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark.cli import app
from earmark.core.errors import InputError
from earmark.evaluation import plots
from earmark.evaluation.simulation.costs import Cost
from earmark.evaluation.simulation.plots import draw_simulation, rates_of, read_repetitions
from earmark.evaluation.simulation.results import Repetition, repetition_path

WORDS = np.array(["no", "stop", "yes"])
PICTURES = {"per-word.png", "differences.png", "differences-plain.png", "class-means.png"}


def repetition(seed, words=WORDS):
    rng = np.random.default_rng(seed)
    labels, test = rng.permutation(np.arange(30) % 3), rng.permutation(np.arange(21) % 3)

    def guess(errors):
        return np.where(rng.random(21) < errors, (test + 1) % 3, test)

    return Repetition(
        classes=words,
        labeled_paths=np.array([f"{number}.wav" for number in range(30)]),
        labeled_labels=labels,
        labeled_speakers=np.array([""] * 30),
        labeled_mfcc=rng.normal(size=(30, 640)) + labels[:, None],
        labeled_plain=rng.normal(size=(30, 75)),
        labeled_spatial=rng.normal(size=(30, 75)),
        test_paths=np.array([f"{number}.wav" for number in range(30, 51)]),
        test_labels=test,
        test_speakers=np.array([""] * 21),
        mfcc_predictions=guess(0.5),
        plain_predictions=guess(0.4),
        spatial_predictions=guess(0.2),
        positions=np.zeros((5, 1)),
        plain_loss=np.ones(2),
        spatial_loss=np.ones(2),
    )


@pytest.fixture
def run(tmp_path):
    for number in (1, 2):
        repetition(number).save(repetition_path(tmp_path, number))
    return tmp_path


def test_every_plot_is_drawn_from_the_folder_of_a_run(run, tmp_path):
    out = tmp_path / "plots"
    command = ["plot", "spatial", str(run), "--out", str(out), "--dpi", "40"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert {path.name for path in out.iterdir()} == PICTURES
    assert result.stdout.count("wrote ") == len(PICTURES)


def test_the_cost_is_measured_kept_and_drawn(run, monkeypatch):
    costs = {
        "all": Cost(np.array([10, 20]), np.array([1.0, 4.0])),
        "one": Cost(np.array([10, 20]), np.array([1.0, 2.0])),
    }
    monkeypatch.setattr("earmark.training.spatial.cost.measure_cost", lambda *_, **__: costs)
    assert CliRunner().invoke(app, ["plot", "spatial", str(run), "--cost", "--dpi", "30"]).exit_code == 0
    assert (run / "cost.csv").read_text() == "n,all,one\n10,1.0,1.0\n20,4.0,2.0\n"
    assert (run / "cost.png").exists()


def test_rates_of_words_are_those_in_the_table_of_the_run(run):
    repetitions = read_repetitions(run)
    for system in ("mfcc", "plain", "spatial"):
        rates = rates_of(repetitions, system)
        assert rates.words == tuple(WORDS)
        for number, one in enumerate(repetitions):
            np.testing.assert_allclose(rates.precision[number], one.scores(system).precision)
            np.testing.assert_allclose(rates.recall[number], one.scores(system).recall)


def test_class_means_are_those_of_the_labeled_clips(run, monkeypatch):
    drawn: dict[str, Any] = {}
    real = plots.class_means_plot
    monkeypatch.setattr(
        plots, "class_means_plot", lambda *args, **kwargs: drawn.update(args=args) or real(*args, **kwargs)
    )
    draw_simulation(run, dpi=30)
    panels, labels = drawn["args"]
    first, _ = read_repetitions(run)
    assert labels == [WORDS[label] for label in first.labeled_labels]
    assert list(panels) == ["MFCC (640 numbers)", "auto-encoder (75 numbers)", "spatial auto-encoder (75 numbers)"]
    np.testing.assert_array_equal(panels["spatial auto-encoder (75 numbers)"], first.labeled_spatial)


def test_a_folder_without_a_run_is_refused(tmp_path, run):
    with pytest.raises(InputError, match=r"nothing.*repetition-01\.npz"):
        draw_simulation(tmp_path / "nothing")
    repetition(3, words=np.array(["go", "left", "off"])).save(repetition_path(run, 3))
    with pytest.raises(InputError, match=r"repetition-03\.npz"):
        draw_simulation(run)
