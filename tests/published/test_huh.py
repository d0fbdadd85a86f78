"""Huh et al. 2021: what their page says can be done, in small; and recipes that say what they published."""

import json
from pathlib import Path

import pytest

from earmark.data.lists.clip_lists import read_list
from earmark.data.manifest import read_manifest
from earmark.training.compare.protocol import read_protocol
from earmark.training.compare.runs import recipes_in
from earmark.training.run.optimizer import learning_rate
from earmark.training.words.corpus import prepare_corpus
from earmark.training.words.recipe import read_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "huh"
LITTLE = ["--device", "cpu", "--set", "encoder.maps=4", "--set", "optimizer.steps=2", "--set", "threads=1"]
STEMS = sorted(path.stem for path in FOLDER.glob("[!_]*.toml"))


def recipe(name):
    return read_recipe(FOLDER / f"{name}.toml")


def numbers_of(results):
    document = json.loads(Path(f"runs/open-set-lists-{results}/results.json").read_text())
    assert len(document["result"]["classes"]) == 11
    return {key: estimate["value"] for key, estimate in document["result"]["numbers"].items()}


@pytest.fixture
def prepared(follow, commands, commands_of):
    """The page's first example up to the training; gives the commands that are left."""
    Path("data/gsc1").symlink_to(commands("0.01"))
    lines = commands_of("huh", "Try it")
    follow(lines[:3], {"earmark prepare open-set": ["--silence", "4"]})
    return lines[3:]


def test_the_worked_example_runs(follow, prepared):
    follow(prepared[:2], {"earmark train": LITTLE})
    numbers = numbers_of("huh-ap-fc-svm")
    target, other = numbers["target_accuracy"], numbers["non_target_accuracy"]
    assert numbers["total_1_1"] == pytest.approx((target + other) / 2)
    assert numbers["total_11_1"] == pytest.approx((11 * target + other) / 12)


def test_the_commands_of_the_other_methods_run(follow, prepared):
    follow(prepared[2:], {"earmark train": [*LITTLE, "--set", "encoder.depth=8"]})
    trained = {path.parent.name for path in Path("runs").glob("huh-*/best.safetensors")}
    assert {*trained, "huh-ap-fc"} == {f"huh-{name}" for name in STEMS}
    for results in ("huh-cross-entropy-classifier", "huh-triplet-centroid"):
        numbers = numbers_of(results)
        assert all(0 <= numbers[name] <= 1 for name in ("total_1_1", "total_11_1", "map", "macro_auc"))


def test_no_clip_and_no_speaker_of_the_test_is_trained_on(prepared):
    assert prepared
    learned = read_manifest("data/huh/manifest.tsv")
    tested = [clip.path for clip in read_list(Path("data/huh/lists/test.txt")) if clip.label != "_silence_"]
    assert {Path(path).name.partition("_")[0] for path in tested}.isdisjoint({clip.speaker for clip in learned})


@pytest.mark.parametrize("name", STEMS)
def test_a_recipe_has_the_name_of_its_file_and_the_published_network(name):
    found = recipe(name)
    assert found.name == f"huh-{name}"
    assert sum(parameter.numel() for parameter in found.encoder.build().parameters()) == 238_802
    assert found.encoder.shape == (101, 40)
    assert (found.scenes.shift_s, found.scenes.shift_probability) == (0.2, 0.2)


def test_non_targets_are_a_class_or_background(prepared):
    assert prepared
    for name, classes, background, batch in [
        ("cross-entropy", 12, 0, 60),
        ("angular-prototypical-cluster", 12, 0, 60),
        ("angular-prototypical", 11, 16, 60),
        ("triplet", 11, 16, 60),
        ("ap-fc", 11, 6, 17),
    ]:
        found = read_recipe(f"recipes/huh/{name}.toml")
        corpus = prepare_corpus(found)
        assert len(corpus.classes) == classes
        assert ("_unknown_" in corpus.classes) == (classes == 12)
        assert bool(len(corpus.background)) == bool(background)
        assert found.episodes.background == background
        assert classes * found.episodes.utterances + background == batch


@pytest.mark.parametrize(("name", "times"), [("cross-entropy", 1), ("ap-fc", 3.5)])
def test_the_rate_is_that_of_honk_over_as_many_clips(name, times):
    optimizer = recipe(name).optimizer
    assert (optimizer.kind, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.9, 1e-5)
    rates = [learning_rate(round(times * step), optimizer) for step in (0, 2_999, 3_000, 5_999, 6_000, 8_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_losses_have_the_published_constants():
    triplet, prototypes = recipe("triplet").loss, recipe("ap-fc").loss
    assert (triplet.margin, triplet.squared, triplet.unit, triplet.mining) == (1, False, False, "all")
    assert (prototypes.per, prototypes.scale, prototypes.bias) == ("target", 10, -5)
    assert recipe("ap-fc-per-sample").loss.per == "sample"


def test_a_comparison_takes_every_method_and_judges_on_the_lists_of_the_page():
    (test,) = read_protocol(FOLDER / "protocol" / "huh-open-set.toml").open_set
    data = FOLDER.parents[1] / "data"
    assert (test.lists, test.audio) == (data / "huh" / "lists", data / "gsc1")
    assert test.targets == recipe("ap-fc").data.targets
    assert sorted(path.stem for path in recipes_in(FOLDER)) == STEMS
