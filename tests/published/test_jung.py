"""Jung et al. 2023: what their page says can be done, in small; and recipes that say what they published."""

import json
import re
from pathlib import Path

import pytest

from earmark import audio
from earmark.data.lists.clip_lists import read_list
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.training.compare.protocol import read_protocol
from earmark.training.run.initialization import freeze
from earmark.training.words.corpus import selected
from earmark.training.words.recipe import read_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "jung"
LITTLE = ["--device", "cpu", "--set", "encoder.maps=4", "--set", "optimizer.steps=2", "--set", "threads=1"]
FEW = ["--takes", "1,2", "--seeds", "1", "--any-speakers", "--silence", "4"]
PARAMETERS = {"res15": 283_376, "res26": 483_851, "convmixer": 246_969}


def recipe(name):
    return read_recipe(FOLDER / f"{name}.toml")


def numbers_of(folder):
    document = json.loads((folder / "results.json").read_text())
    return {
        condition["name"]: {key: spread["mean"] for key, spread in condition["numbers"].items()}
        for condition in document["conditions"]
    }


def test_the_worked_example_runs_and_nobody_of_the_test_is_trained_on(follow, commands, commands_of):
    small = commands("0.02")
    Path("data/gsc").symlink_to(small)
    follow(commands_of("jung", "Try it"), {"earmark prepare lists": FEW, "earmark train": LITTLE})
    numbers = numbers_of(Path("runs/few-shot-digits-jung-small-finetune"))
    assert list(numbers) == ["k1", "k2"]
    for name in ("accuracy", "f1", "eer_at_point", "frr_at_point_2_5", "frr_at_point_10"):
        assert all(0 <= numbers[condition][name] <= 1 for condition in numbers)
    listed = [clip for path in Path("data/jung/digits").glob("*_k*.txt") for clip in read_list(path)]
    tested = {Path(clip.path).name.partition("_")[0] for clip in listed if clip.label != "_silence_"}
    for name in ("small-pretrain", "small-finetune"):
        data = read_recipe(f"recipes/jung/{name}.toml").data
        heard = [clip for source in (*data.words, *data.validation) for clip in selected(source)]
        assert tested.isdisjoint({clip.speaker for clip in heard})
        assert {clip.label for clip in listed if "enroll" in clip.path}.isdisjoint({clip.label for clip in heard})


@pytest.fixture
def corpora(commands, say, hush):
    """The folders of the page's second example, each with a few recordings of tones, and keywords already cut."""

    def make(gsc):
        Path("data/gsc").symlink_to(gsc)
        for kind in ("music", "noise", "speech"):
            Path(f"data/musan/{kind}/source").mkdir(parents=True)
            audio.write(f"data/musan/{kind}/source/{kind}-0.wav", hush(2, level=0.1))
        Path("data/rir").mkdir()
        for number in range(3):
            audio.write(f"data/rir/{number}.wav", hush(0.2, level=0.1, seed=number))
        clips = []
        for number in range(8):
            Path(f"data/lsk/{number}").mkdir(parents=True)
            for seed in range(6):
                audio.write(f"data/lsk/{number}/{seed}.wav", say(200 + 90 * number, 900, before_s=0.2, seed=seed))
                split = "val" if number < 2 else "train"
                clips.append(Clip(f"{number}/{seed}.wav", speaker=str(seed), label=f"word {number}", split=split))
        write_manifest(Manifest(tuple(clips), Path("data/lsk")), "data/lsk/manifest.parquet")

    return lambda: make(commands("0.02"))


def test_the_commands_of_full_size_run_with_little_of_everything(follow, corpora, commands_of):
    corpora()
    few = [*LITTLE, "--set", "episodes.words=4"]
    lines = commands_of("jung", "Everything, at full size")
    cut = [line for line in lines if line.startswith(("earmark prepare librispeech", "earmark prepare keywords"))]
    assert len(cut) == 2
    little_lists = [*FEW, "--test-per-keyword", "6", "--test-per-impostor", "2", "--train-per-word", "20"]
    follow([line for line in lines if line not in cut], {"earmark prepare lists": little_lists, "earmark train": few})
    assert list(numbers_of(Path("runs/few-shot-lists-jung-finetune-angular-prototypical"))) == ["k1", "k2"]
    trained = read_list(Path("data/jung/lists/train.txt"), repeats=True)
    assert len(trained) == 25 * 20
    tested = {clip.path for path in Path("data/jung/lists").glob("*_k*.txt") for clip in read_list(path)}
    assert tested.isdisjoint({clip.path for clip in trained})


STEMS = sorted(path.stem for path in FOLDER.glob("[!_]*.toml"))


@pytest.mark.parametrize("name", STEMS)
def test_a_recipe_has_the_name_of_its_file_and_the_published_network(name):
    found = recipe(name)
    assert found.name == f"jung-{name}"
    kind = name.partition("-")[2]
    if "small" not in name:
        model = found.encoder.build()
        size = sum(parameter.numel() for parameter in model.parameters())
        assert size == PARAMETERS.get(kind, PARAMETERS["res15"])
        assert found.encoder.shape == (101, 40)


def test_there_is_a_fine_tuning_for_each_pre_training_and_it_begins_there():
    first = [name for name in STEMS if "pretrain" in name]
    second = [name for name in STEMS if "finetune" in name]
    assert [name.replace("pretrain", "finetune") for name in first] == second
    assert len(first) == 7
    for before, after in zip(map(recipe, first), map(recipe, second), strict=True):
        assert after.start.checkpoint == FOLDER.parents[1] / "runs" / before.name / "best.safetensors"
        assert (after.encoder, after.loss, after.augment) == (before.encoder, before.loss, before.augment)
        assert after.data.validation == before.data.validation


@pytest.mark.parametrize("name", [name for name in STEMS if "finetune" in name])
def test_fine_tuning_keeps_four_convolutions_or_what_comes_before_the_mixing(name):
    found = recipe(name)
    model = found.encoder.build()
    freeze(model, found.start.freeze)
    kept = {part for part, parameter in model.named_parameters() if not parameter.requires_grad}
    if found.encoder.kind == "res":
        assert {part.split(".")[2] for part in kept} == {"0", "1", "2", "3"}
        assert len(kept) == 4
    else:
        assert {part.split(".")[1] for part in kept} == {"entry", "before"}


@pytest.mark.parametrize(
    ("name", "epoch", "lr"),
    [
        ("pretrain-softmax", 1_000_000 // 32, 1e-3),
        ("pretrain-am-softmax", 1_000_000 // 32, 1e-3),
        ("pretrain-prototypical", 1_000_000 // 16, 1e-3),
        ("pretrain-angular-prototypical", 1_000_000 // 16, 1e-3),
        ("finetune-softmax", 37_500 // 32, 1e-5),
        ("finetune-am-softmax", 37_500 // 32, 1e-5),
        ("finetune-prototypical", 37_500 // 16, 1e-5),
        ("finetune-angular-prototypical", 37_500 // 16, 1e-5),
    ],
)
def test_rates_fall_by_epochs_of_the_published_lists(name, epoch, lr):
    found = recipe(name)
    optimizer = found.optimizer
    assert (optimizer.kind, optimizer.lr, optimizer.weight_decay, optimizer.warmup) == ("adam", lr, 0, 0)
    assert (optimizer.schedule, optimizer.decay, optimizer.decay_every) == ("step", 0.95, epoch)
    assert (optimizer.steps, found.checkpoint_every) == (150 * epoch, epoch)
    assert (found.episodes.words, found.episodes.utterances, found.data.silence) == (16, 2, True)
    assert found.scenes.silence_gain == (0, 0)


def test_another_loss_is_set_as_the_page_says():
    (setting,) = re.findall(r"`--set '(loss=.*?)'`", (FOLDER.parents[1] / "docs/published/jung.md").read_text())
    assert read_recipe(FOLDER / "pretrain-res26.toml", [setting]).loss == recipe("pretrain-softmax").loss


def test_losses_have_the_published_constants():
    softmax, am = recipe("pretrain-softmax").loss, recipe("pretrain-am-softmax").loss
    angular = recipe("pretrain-angular-prototypical").loss
    assert softmax.head is False
    assert (am.margin, am.scale) == (0.3, 15)
    assert (angular.scale, angular.bias) == (10, -5)


def test_a_comparison_judges_on_the_lists_of_the_page():
    (test,) = read_protocol(FOLDER / "protocol" / "jung-digits.toml").few_shot
    data = FOLDER.parents[1] / "data"
    assert (test.lists, test.audio, test.backends) == (data / "jung" / "lists", data / "gsc", ("centroid",))
