"""Hajibabaei and Dai 2018: what their page says can be done, in small; and recipes that say what they published."""

import json
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.data.lists.clip_lists import read_pairs
from earmark.data.manifest import read_manifest
from earmark.training.batches.crops import random_crops
from earmark.training.export.checkpoint_embedder import load_embedder
from earmark.training.run.optimizer import learning_rate
from earmark.training.words.recipe import read_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "hajibabaei"
STEMS = sorted(path.stem for path in FOLDER.glob("[!_]*.toml"))
PUBLISHED = [name for name in STEMS if "small" not in name and name not in {"resnet-se", "aam-softmax"}]
LITTLE = ["--device", "cpu", "--set", "encoder.widths=[2,4,4,8]", "--set", "optimizer.steps=2", "--set", "threads=1"]
FEW = ["--set", "episodes.words=4", "--set", "checkpoint_every=2"]
VIDEO = "1zcIwhmdeo4"


def recipe(name):
    return read_recipe(FOLDER / f"{name}.toml")


def document(folder):
    return json.loads((Path("runs") / folder / "results.json").read_text())


@pytest.fixture
def voices(say):
    """`voices(folder, names, takes)`: recordings FOLDER/NAME/…/00001.wav of a tone for each name."""

    def write(folder, names, takes, name_of):
        for number, name in enumerate(names):
            hz = 150 * 1.25**number
            for take in range(takes):
                path = Path(folder) / name / name_of(take)
                path.parent.mkdir(parents=True, exist_ok=True)
                audio.write(path, say(hz, 1.1 * hz, seconds=0.5 + 0.1 * take, before_s=0.1, after_s=0.1, seed=take))

    return write


def test_the_worked_example_runs_and_nobody_who_is_verified_was_heard(follow, voices, commands_of):
    names = [f"SPEAKER{number:04}" for number in range(16)]
    lines = commands_of("hajibabaei", "Try it")

    def run():
        voices("data/speechocean762/WAVE", names, 8, lambda take: f"{take}.WAV")
        follow(lines, {"earmark prepare speakers": ["--pairs", "20"], "earmark train": [*LITTLE, *FEW]})

    run()
    heard = {clip.speaker for clip in read_manifest("data/speakers/speechocean762/manifest.tsv").only("train")}
    identified = document("identify-iden_split-hajibabaei-small-logistic-margin")
    assert identified["counts"]["classes"] == len(heard) > 3
    assert 0 <= identified["result"]["top_1"]["value"] <= identified["result"]["top_5"]["value"] <= 1
    verified = document("verify-veri_test-hajibabaei-small-logistic-margin")
    assert verified["pairs"] == {"one_speaker": 10, "two_speakers": 10}
    assert 0 <= verified["results"]["cosine"]["eer"]["value"] <= 1
    paired = {path for pair in read_pairs(Path("data/speakers/speechocean762/veri_test.txt")) for path in (pair.first,)}
    assert heard.isdisjoint({path.split("/")[1] for path in paired})


@pytest.fixture
def voxceleb(voices):
    """Five speakers of the training and two of the test, in the corpus's layout below `wav`, with both lists."""

    def make():
        trained, tested = [f"id1000{number}" for number in range(1, 6)], ["id10270", "id10309"]
        voices("data/voxceleb1/wav", [*trained, *tested], 6, lambda take: f"{VIDEO}/{take + 1:05}.wav")
        columns = (1, 1, 1, 2, 2, 3)
        lines = [
            f"{column} {name}/{VIDEO}/{take:05}.wav"
            for name in [*trained, *tested]
            for take, column in enumerate(columns, start=1)
        ]
        Path("data/voxceleb1/iden_split.txt").write_text("\n".join(lines) + "\n")
        pairs = [
            f"{int(one == other)} {one}/{VIDEO}/00001.wav {other}/{VIDEO}/{take:05}.wav"
            for one in tested
            for other in tested
            for take in range(2, 6)
        ]
        Path("data/voxceleb1/veri_test.txt").write_text("\n".join(pairs) + "\n")

    return make


def test_the_commands_of_full_size_run_with_little_of_everything(follow, voxceleb, commands_of):
    voxceleb()
    crops = ["--crops", "2"]
    follow(
        commands_of("hajibabaei", "Everything, at full size"),
        {"earmark train": [*LITTLE, *FEW], "earmark evaluate": crops},
    )
    identified = document("identify-iden_split-hajibabaei-logistic-margin")
    assert identified["counts"] == {"recordings": 7, "speakers": 7, "classes": 7}
    official = document("verify-veri_test-hajibabaei-am-softmax-128")
    assert (official["pairs"], official["crops"]) == ({"one_speaker": 8, "two_speakers": 8}, 2)
    every = document("verify-verification-hajibabaei-am-softmax-128")
    assert every["pairs"] == {"one_speaker": 30, "two_speakers": 36}
    normalized = document("verify-normalized")
    assert set(normalized["results"]) == {"cosine", "as-norm"}
    assert normalized["results"]["cosine"] == official["results"]["cosine"]
    assert normalized["cohort"]["speakers"] == 5


@pytest.mark.parametrize("name", STEMS)
def test_a_recipe_has_the_name_of_its_file(name):
    assert recipe(name).name in {f"hajibabaei-{name}", "resnet-se-aam-softmax"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_networks_features_and_crops_are_the_published_ones(name):
    found = recipe(name)
    dimension = 128 if name.endswith("128") else 512
    size = sum(parameter.numel() for parameter in found.encoder.build().parameters())
    # The residual convolutions' biases, which the published ones have too but never learn, are among them.
    assert size == 11_654_272 + 4_672 + (8_704 + 1) * dimension
    assert found.encoder.shape == (300, 257)
    assert found.encoder.dropout == (0.5 if dimension == 128 else 0)
    plain = name.endswith("plain")
    assert (found.scenes.kind, found.scenes.tile) == ("tiled_crop", not plain)
    assert found.scenes.reversal == (0 if plain else 0.5)
    assert found.data.classes == "speaker"


@pytest.mark.parametrize("name", PUBLISHED)
def test_rates_fall_as_published(name):
    found = recipe(name)
    optimizer = found.optimizer
    assert (optimizer.kind, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.93, 5e-4)
    assert (optimizer.steps, found.checkpoint_every, optimizer.lr_scale) == (61_600, 1_000, {"network.output": 2.0})
    first = 0.05 if name.startswith("softmax") else 0.005
    rates = [learning_rate(step, optimizer) for step in (0, 2_799, 2_800, 28_000)]
    assert rates == pytest.approx([first, first, 0.75 * first, 0.75**10 * first])
    assert (found.episodes.words, found.episodes.utterances) == (50, 1)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if not name.startswith("softmax")])
def test_the_second_step_begins_with_the_first_of_its_kind(name):
    kind = next((end for end in ("-plain", "-128") if name.endswith(end)), "")
    assert recipe(name).start.checkpoint == FOLDER.parents[1] / f"runs/hajibabaei-softmax{kind}/last.safetensors"


def test_losses_have_the_published_constants():
    margin, am, angular = (recipe(name).loss for name in ("logistic-margin", "am-softmax", "a-softmax"))
    assert (margin.margin, margin.scale) == (30, 50)
    assert (am.scale, am.margin * am.scale, am.learned_scale) == (100, 50, True)
    assert (angular.base, angular.gamma, angular.power, angular.lambda_min) == (1000, 0.12, 1, 5)
    head = recipe("softmax").loss.build(classes=1_251, dimension=512)
    assert sum(parameter.numel() for parameter in head.parameters()) == 641_763


def test_every_crop_counts_once(follow, voxceleb, commands_of):
    voxceleb()
    follow(commands_of("hajibabaei", "Everything, at full size")[:2], {"earmark train": [*LITTLE, *FEW]})
    checkpoint = Path("runs/hajibabaei-softmax/last.safetensors")
    wave = audio.read(f"data/voxceleb1/wav/id10001/{VIDEO}/00001.wav")
    crops = random_crops(wave, recipe("softmax").scenes, 5, seed=3)
    one = load_embedder(checkpoint)
    mean = np.mean([one.embed_batch([crop])[0] for crop in crops], axis=0)
    np.testing.assert_allclose(load_embedder(checkpoint, crops=5, seed=3).embed_batch([wave])[0], mean, atol=1e-5)
