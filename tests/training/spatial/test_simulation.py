import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError
from earmark.evaluation.simulation.results import Repetition, read_rows, repetition_path
from earmark.training.export.checkpoint_embedder import load_embedder
from earmark.training.spatial.settings import read_spatial
from earmark.training.spatial.simulation import gain, simulate, summarize
from tests.training.spatial.recipes import parse_spatial

RECIPES = sorted((Path(__file__).parents[3] / "recipes" / "humayun").glob("*.toml"))


@pytest.fixture
def repetitions(finished):
    return [Repetition.open(repetition_path(finished, number)) for number in (1, 2)]


def test_a_simulation_writes_a_row_arrays_and_encoders_for_each_repetition(finished, repetitions, recordings):
    assert sorted(path.name for path in finished.iterdir()) == [
        *(f"plain-{number:02}.safetensors" for number in (1, 2)),
        *(f"repetition-{number:02}.npz" for number in (1, 2)),
        "results-plain.csv",
        "results.csv",
        "settings.json",
        *(f"spatial-{number:02}.safetensors" for number in (1, 2)),
    ]
    for table, system in (("results.csv", "spatial"), ("results-plain.csv", "plain")):
        for row, repetition in zip(read_rows(finished / table), repetitions, strict=True):
            assert float(row["mfcc_error"]) == repetition.scores("mfcc").error
            assert json.loads(row["ae_recall"]) == repetition.scores(system).recall.tolist()
    first = repetitions[0]
    assert first.labeled_mfcc.shape == (20, 640)
    assert first.labeled_spatial.shape == first.labeled_plain.shape == (20, 75)
    assert first.positions.shape == (30, 1)
    assert not {*first.labeled_paths} & {*first.test_paths}
    for path, label in zip(first.test_paths, first.test_labels, strict=True):
        assert path.startswith(first.classes[label])
    said = json.loads((finished / "settings.json").read_text())
    assert said["classes"] == first.classes.tolist()
    manifest = f"{recordings.name}/manifest.tsv"
    assert said["sources"] == {
        role: [{"manifest": manifest, "split": split}]
        for role, split in (("unlabeled", "train"), ("labeled", "val"), ("test", "test"))
    }
    assert str(recordings) not in json.dumps(said)


def test_repetitions_have_splits_of_their_own(repetitions):
    first, second = repetitions
    assert {*first.test_paths} != {*second.test_paths}
    assert {*first.labeled_paths} != {*second.labeled_paths}
    assert not np.array_equal(first.positions, second.positions)


def test_a_stopped_run_resumes_with_the_same_results(finished, settings, tmp_path):
    other = tmp_path / "other"
    one = settings.model_copy(update={"repetitions": 1})
    simulate(one, other)
    before = (other / "results.csv").read_text()
    stages: set[str] = set()
    repetitions = simulate(settings, other, progress=lambda stage, *_: stages.add(stage.split(":")[0]))
    assert stages == {"repetitions", "repetition 2"}
    assert len(repetitions) == 2
    assert (other / "results.csv").read_text().startswith(before)
    for name in ("results.csv", "results-plain.csv"):
        assert (other / name).read_text() == (finished / name).read_text()


def test_a_repetition_with_a_row_is_not_run_again(finished, settings):
    repetition_path(finished, 1).unlink()
    before = (finished / "results.csv").read_bytes()
    stages: set[str] = set()
    assert len(simulate(settings, finished, progress=lambda stage, *_: stages.add(stage))) == 1
    assert stages == {"repetitions"}
    assert (finished / "results.csv").read_bytes() == before


def test_a_folder_of_other_settings_is_refused(finished, settings):
    with pytest.raises(InputError, match=r"seed \(1, now 5\)"):
        simulate(settings.model_copy(update={"seed": 5}), finished)
    data = settings.data
    swapped = data.model_copy(update={"unlabeled": data.test, "test": data.unlabeled})
    with pytest.raises(InputError, match=r"sources"):
        simulate(settings.model_copy(update={"data": swapped}), finished)
    (finished / "settings.json").unlink()
    with pytest.raises(InputError, match=r"settings\.json"):
        simulate(settings, finished)


@pytest.mark.slow
def test_repetitions_in_several_processes_give_the_same_results(finished, settings, tmp_path):
    simulate(settings, tmp_path / "both", jobs=2)
    assert (tmp_path / "both" / "results.csv").read_text() == (finished / "results.csv").read_text()


def test_a_learned_encoder_is_an_encoder_for_every_evaluation(finished, repetitions, recordings, tmp_path):
    first = repetitions[0]
    for system, kept in (("spatial", first.labeled_spatial), ("plain", first.labeled_plain)):
        embedder = load_embedder(finished / f"{system}-01.safetensors")
        assert embedder.name == f"little-{system}-01"
        assert embedder.classes == ()
        waves = [audio.read(recordings / path) for path in first.labeled_paths]
        # A bank keeps 16 bits, and so do the recordings, in steps that differ by one in 32,768.
        assert np.allclose(embedder.embed_batch(waves), kept, rtol=0, atol=0.02 * np.abs(kept).max())
        assert embedder.classify(kept) is None
    crops = load_embedder(finished / "spatial-01.safetensors", crops=2)
    assert crops.embed_batch(waves[:1]).shape == (1, 75)
    shutil.copy(finished / "spatial-01.safetensors", tmp_path / "moved.safetensors")
    assert load_embedder(tmp_path / "moved.safetensors").name == "little-spatial-01"


def test_a_summary_has_the_mean_of_each_system(repetitions):
    summary = summarize(repetitions)
    errors = [one.scores("mfcc").error for one in repetitions]
    assert summary["mfcc"]["error"].mean == pytest.approx(np.mean(errors))
    assert gain(repetitions, "spatial", "mfcc").mean == pytest.approx(
        summary["mfcc"]["error"].mean - summary["spatial"]["error"].mean
    )


def test_each_anchor_gives_a_position(spatial_table, tmp_path):
    spatial_table["autoencoder"] |= {"anchors": 3, "standardize": True}
    spatial_table["repetitions"] = 1
    (repetition,) = simulate(parse_spatial(spatial_table, tmp_path, "recipe"), tmp_path / "run")
    assert isinstance(repetition, Repetition)
    assert repetition.positions.shape == (30, 3)


def test_both_systems_use_the_features_of_the_recipe(spatial_table, tmp_path):
    spatial_table["autoencoder"]["encoder"] = {"frontend": {"kind": "mfcc", "coefficients": 13}}
    spatial_table["repetitions"] = 1
    (repetition,) = simulate(parse_spatial(spatial_table, tmp_path, "recipe"), tmp_path / "run")
    assert repetition.labeled_mfcc.shape == (20, 101 * 13)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_can_be_read(path):
    assert read_spatial(path).name.startswith("humayun")


def test_defaults_are_the_published_numbers():
    settings = read_spatial(RECIPES[0].with_name("published.toml"))
    assert (settings.sizes.unlabeled, settings.sizes.labeled, settings.sizes.test) == (12_000, 6_000, 6_000)
    assert (settings.repetitions, settings.seed) == (10, 1)
    learning = settings.autoencoder.fit, settings.classifier, settings.benchmark
    assert [fit.optimizer for fit in learning] == ["adamax", "nadam", "adamax"]
    assert [fit.epochs for fit in learning] == [500, 500, 100]
    assert [fit.validation for fit in learning] == [0, 0.5, 0.5]
    assert {(fit.batch, fit.patience, fit.keep_best) for fit in learning} == {(32, 5, False)}
    assert settings.autoencoder.position_weight == 1
    assert not settings.autoencoder.standardize


def test_a_misspelled_key_is_named(spatial_table, tmp_path):
    spatial_table["autoencoder"]["anchor"] = 2
    with pytest.raises(InputError, match=r"autoencoder\.anchor: no such key; did you mean 'anchors'"):
        parse_spatial(spatial_table, tmp_path, "recipe")
