"""A comparison as its users meet it: recipes and a protocol in, one report out; and what stops it."""

import json

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.evaluation.metrics import equal_error_rate, error_curve
from earmark.evaluation.plots import det_plot
from earmark.training.compare.plots import to_error_curve
from earmark.training.compare.protocol import read_protocol
from earmark.training.compare.report import average_text
from earmark.training.compare.runs import plan_runs, recipes_in
from earmark.training.compare.summary import Average
from earmark.training.nn.encoders import ResSettings

COMMON = """
name = "common"
checkpoint_every = 2
[data]
folder = "packed"
words = [{ manifest = "clips/clips.tsv", split = "train" }]
validation = [{ manifest = "clips/clips.tsv", split = "val" }]
known_validation = true
[scenes]
kind = "center_crop"
"""
PROTOCOL = """
title = "Tones"
[[few_shot]]
name = "new tones"
lists = "lists"
audio = "clips"
backends = ["prototype", "svm"]
[[open_set]]
name = "known tones"
lists = "lists"
audio = "clips"
targets = ["rise", "fall"]
backends = ["centroid", "classifier"]
"""
WORDS = {"rise": (200, 900), "fall": (1200, 300), "bow": (500, 1500), "low": (250, 260), "high": (1500, 1600)}


@pytest.fixture
def folder(tmp_path, monkeypatch, say, small):
    """Recipes, recordings and lists of a small comparison."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "lists").mkdir()
    (tmp_path / "recipes").mkdir()
    clips = []
    for word, (first, last) in WORDS.items():
        for voice in range(12):
            split = "test" if voice >= 10 or word in {"low", "high"} else "val" if voice >= 4 else "train"
            path = f"{word}_{voice}.wav"
            audio.write(tmp_path / "clips" / path, say(first, last, seconds=0.5, seed=voice))
            clips.append(Clip(path, speaker=str(voice), label=word, split=split))
    write_manifest(Manifest(tuple(clips), tmp_path / "clips"), "clips/clips.tsv")

    def listed(name, words, voices):
        lines = [f"{word} {word}_{voice}.wav" for word in words for voice in voices]
        (tmp_path / "lists" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    listed("enroll_k2_s0.txt", ["low", "high"], range(2))
    listed("test_k2_s0.txt", ["low", "high", "bow"], range(6, 10))
    listed("train.txt", ["rise", "fall", "bow"], range(4))
    listed("test.txt", ["rise", "fall", "bow", "low"], range(10, 12))
    (tmp_path / "recipes" / "common.toml").write_text(
        COMMON.replace('"packed"', '"../packed"').replace("clips/", "../clips/") + small
    )
    for name, kind in (("softmax", "softmax"), ("prototypes", "angular_prototypical")):
        (tmp_path / "recipes" / f"{name}.toml").write_text(
            f'extends = "common.toml"\nname = "{name}"\n[loss]\nkind = "{kind}"\n'
        )
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    return tmp_path


def test_every_fault_of_every_recipe_is_found_before_the_first_training(compare, folder):
    code, out, errors = compare("recipes", "--seeds", "1", "--check")
    assert (code, errors) == (0, "")
    assert "no fault" in out
    code, _, errors = compare("recipes", "--seeds", "2", "--set", "data.noise=[{manifest='none.tsv'}]")
    assert code == 2
    assert len(errors.splitlines()) == 2
    assert all("data.noise" in line for line in errors.splitlines())
    assert not (folder / "packed").exists()


@pytest.mark.slow
def test_a_grid_is_trained_and_evaluated_in_one_report(compare, folder):
    code, out, errors = compare("recipes", "--seeds", "2")
    assert code == 0, errors
    assert out.count("trained ") == 4
    report = (folder / "out" / "report.md").read_text(encoding="utf-8")
    for heading in ("# Tones", "## new tones: k2", "## known tones", "## Learning"):
        assert heading in report
    assert "| softmax | classifier |" in report
    assert "| prototypes | classifier |" not in report
    assert "2 systems, 2 seeds each, 4 training steps" in report
    for picture in ("dots-1", "det-1", "dots-2", "det-2", "learning"):
        assert f"({picture}.png)" in report
        assert (folder / "out" / f"{picture}.png").stat().st_size > 5000
    results = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["seeds"] == [1, 2]
    rows = {(row["system"], row["test"], row["backend"]): row["numbers"] for row in results["results"]}
    assert len(rows) == 7
    eer = rows["softmax", "new tones", "prototype"]["eer"]
    assert eer["mean"] == pytest.approx(np.mean(eer["seeds"]))
    assert len(eer["seeds"]) == 2


@pytest.mark.slow
def test_finished_runs_and_results_are_kept_and_a_new_seed_costs_only_itself(compare, folder):
    compare("recipes/softmax.toml", "--seeds", "1")
    kept = folder / "out" / "softmax" / "seed1"
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir() if path.is_file()}
    code, out, errors = compare("recipes/softmax.toml", "--seeds", "2", "--jobs", "2")
    assert code == 0, errors
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir() if path.is_file()} == before
    assert "trained softmax, seed 2" in out


def test_other_lists_are_evaluated_again(compare, folder):
    compare("recipes/softmax.toml", "--seeds", "1")
    results = folder / "out" / "softmax" / "seed1" / "judged.json"
    before = json.loads(results.read_text(encoding="utf-8"))["stamp"]
    lines = (folder / "lists" / "test_k2_s0.txt").read_text(encoding="utf-8").splitlines()
    (folder / "lists" / "test_k2_s0.txt").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    compare("recipes/softmax.toml", "--seeds", "1")
    assert json.loads(results.read_text(encoding="utf-8"))["stamp"] != before


def test_encoders_multiply_the_grid(folder):
    (folder / "wide.toml").write_text('[encoder]\nkind = "res"\nmaps = 5\n')
    (folder / "other.toml").write_text('[encoder]\nkind = "bc_resnet"\ndimension = 6\n')
    runs = plan_runs(
        [folder / "recipes"], [1, 2], folder / "out", encoders=[folder / "wide.toml", folder / "other.toml"]
    )
    assert [run.system for run in runs[::2]] == [
        "prototypes wide", "prototypes other", "softmax wide", "softmax other",
    ]  # fmt: skip
    wide = runs[0].recipe.encoder
    assert isinstance(wide, ResSettings)
    assert (wide.maps, wide.dimension) == (5, 6)
    assert runs[2].recipe.encoder.kind == "bc_resnet"
    assert runs[2].folder == folder / "out" / "prototypes+other" / "seed1"
    assert [run.recipe.seed for run in runs[:2]] == [1, 2]


def test_a_folder_gives_the_recipes_that_no_other_extends(folder):
    assert [path.name for path in recipes_in(folder / "recipes")] == ["prototypes.toml", "softmax.toml"]
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: "):
        recipes_in(folder / "empty")


def test_two_recipes_of_one_name_are_refused(folder):
    (folder / "again.toml").write_text(
        (folder / "recipes" / "softmax.toml").read_text().replace("common", "recipes/common")
    )
    with pytest.raises(InputError, match=r"'softmax'"):
        plan_runs([folder / "recipes", folder / "again.toml"], [1], folder / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('lists = "lists"', 'list = "lists"'), "no such key; did you mean 'lists'?"),
        (('backends = ["prototype", "svm"]', 'backends = ["nearest"]'), "few_shot.0.backends.0: input should be"),
        (('title = "Tones"', ""), "title: field required"),
    ],
)
def test_a_protocol_that_is_wrong_says_where(folder, change, message):
    (folder / "wrong.toml").write_text(PROTOCOL.replace(*change))
    with pytest.raises(InputError) as error:
        read_protocol(folder / "wrong.toml")
    assert message in str(error.value)


def test_missing_lists_stop_before_any_training(compare, folder):
    (folder / "lists" / "enroll_k2_s0.txt").unlink()
    (folder / "lists" / "test_k2_s0.txt").unlink()
    code, _, errors = compare("recipes", "--seeds", "1")
    assert code == 2
    assert errors.startswith("error: ")
    assert not (folder / "out" / "softmax").exists()


def test_a_kept_curve_has_the_rates_of_the_whole_curve():
    curve = error_curve(np.linspace(0, 1, 200), np.arange(200) % 3 + np.arange(200) / 80 > 2)
    kept = to_error_curve((tuple(curve.far.tolist()), tuple(curve.frr.tolist())))
    assert equal_error_rate(kept) == pytest.approx(equal_error_rate(curve))
    (line, *_) = det_plot({"one": kept}).axes[0].lines
    assert np.ptp(line.get_xdata()) > 1


def test_the_margin_of_an_average_is_half_its_student_interval():
    average = Average((0.1, 0.2, 0.3))
    assert average.mean == pytest.approx(0.2)
    assert average.margin == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=1e-3)
    assert average_text(average) == "20.0 ± 24.8"
