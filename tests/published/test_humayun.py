"""Humayun, Yassin and Abas 2021: what their page says can be done, in small; and what their recipe says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from earmark.evaluation.reports import plots
from earmark.evaluation.simulation import plots as simulation_pictures
from earmark.evaluation.simulation.costs import Cost
from earmark.evaluation.simulation.results import COLUMNS, Repetition, read_rows, repetition_path
from earmark.training.spatial.settings import SpatialSettings, read_spatial

PROJECT = Path(__file__).parents[2]
ALL_CLIPS = [word for role in ("unlabeled", "labeled", "test") for word in ("--set", f"sizes.{role}=0")]
LITTLE = [
    *ALL_CLIPS,
    "--set",
    "autoencoder.fit.epochs=2",
    "--set",
    "classifier.epochs=2",
    "--set",
    "benchmark.epochs=2",
]


@pytest.fixture
def examples(commands, commands_of, monkeypatch):
    """Makes clips for the page's examples, and gives their commands; pictures are not drawn."""
    monkeypatch.setattr(plots, "draw_probe", lambda *_, **__: None)
    monkeypatch.setattr(simulation_pictures, "draw_simulation", lambda *_, **__: ())

    def prepare():
        Path("data/gsc").symlink_to(commands("0.02"))
        return commands_of("humayun", "Try it"), commands_of("humayun", "Everything, at full size")

    return prepare


@pytest.mark.slow
def test_the_worked_examples_run(follow, examples, monkeypatch):
    tried, full = examples()
    probes = ["--labels", "2", "--repetitions", "2"]
    follow(tried, {"earmark spatial": LITTLE, "earmark evaluate probe": probes})
    run = Path("runs/humayun-short")
    results = read_rows(run / "results.csv")
    assert len(results) == 2
    first, second = (Repetition.open(repetition_path(run, number)) for number in (1, 2))
    assert first.labeled_paths.tolist() != second.labeled_paths.tolist()
    assert (first.labeled_spatial.shape, first.labeled_mfcc.shape) == ((210, 75), (210, 640))
    for row, one in zip(results, (first, second), strict=True):
        assert float(row["mfcc_error"]) == one.scores("mfcc").error
        assert float(row["ae_error"]) == one.scores("spatial").error
        assert 0 <= float(row["ae_weighted_recall"]) == pytest.approx(1 - float(row["ae_error"]))
    for encoder in ("spatial-01-dense", "mfcc-conv1d"):
        (found,) = Path("runs").glob(f"probe-*{encoder}/results.json")
        (two,) = json.loads(found.read_text())["results"]
        assert (two["labeled"], two["tested"], len(two["words"])) == (70, 140, 35)

    costs = {"one": Cost(np.array([1, 2]), np.array([1.0, 2.0]))}
    monkeypatch.setattr("earmark.training.spatial.cost.measure_cost", lambda *_, **__: costs)
    base = "earmark evaluate probe data/gsc/manifest.tsv --train-split val --test-split test --probe linear"
    lines = [line for line in full if not line.startswith(base)]  # the shipped encoder hears tones as silence
    assert len(lines) == len(full) - 1
    once = ["--set", "repetitions=1", "--jobs", "1"]
    follow(lines, {"earmark spatial r": [*LITTLE, *once], "earmark evaluate probe": ["--repetitions", "1"]})
    assert Path("runs/humayun/cost.csv").exists()


def test_the_recipe_says_what_they_published():
    found = read_spatial(PROJECT / "recipes" / "humayun" / "published.toml")
    assert (found.repetitions, found.seed) == (10, 1)
    assert (found.sizes.unlabeled, found.sizes.labeled, found.sizes.test) == (12_000, 6_000, 6_000)
    assert [source.split for role in ("unlabeled", "labeled", "test") for source in getattr(found.data, role)] == [
        "train",
        "val",
        "test",
    ]
    learning = (found.autoencoder.fit, found.classifier, found.benchmark)
    assert [(one.optimizer, one.batch, one.epochs, one.patience, one.validation) for one in learning] == [
        ("adamax", 32, 500, 5, 0),
        ("nadam", 32, 500, 5, 0.5),
        ("adamax", 32, 100, 5, 0.5),
    ]
    assert not any(one.keep_best for one in learning)
    assert (found.autoencoder.position_weight, found.autoencoder.anchors, found.autoencoder.standardize) == (
        1,
        1,
        False,
    )


def keys_of(model: type[BaseModel], before: str = "") -> set[str]:
    """Every key of settings, with those of the tables inside them."""
    keys = set()
    for name, field in model.model_fields.items():
        keys.add(before + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= keys_of(field.annotation, f"{before}{name}.")
    return keys


def test_every_key_that_the_page_names_is_one_of_a_simulation():
    text = (PROJECT / "docs" / "published" / "humayun.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[` ]((?:data|sizes|autoencoder|classifier|benchmark)\.[a-z_.]*[a-z])", text))
    named -= {name for name in named if name.endswith(".py")}
    assert len(named) > 10
    assert named <= keys_of(SpatialSettings)


def test_every_column_of_the_table_is_explained():
    text = (PROJECT / "docs" / "published" / "humayun.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| \d+ .*?\| `(\w+)`", text, re.MULTILINE)) == COLUMNS
