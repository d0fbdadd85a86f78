import copy
import json

import pytest

from earmark.core.errors import InputError
from earmark.training.nn.losses.nt_xent import NTXentSettings
from earmark.training.recipe import check_any_recipe, portable, read_any_recipe
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.samplers import GoldSettings, PairSettings, SectionSettings
from earmark.training.words.recipe import Recipe

STREAM = {"kind": "stream", "frames": "published"}
TOWER = {"kind": "tower", "late": 0}


@pytest.fixture
def changed(table):
    """`changed({"data.pairs": "pairs.txt"})`: the table with other values; None takes a key out."""

    def change(changes):
        other = copy.deepcopy(table)
        for key, value in changes.items():
            *parents, last = key.split(".")
            inner = other
            for parent in parents:
                inner = inner.setdefault(parent, {})
            if value is None:
                inner.pop(last)
            else:
                inner[last] = value
        return other

    return change


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data.sections": None}, "data.sections"),
        ({"episodes": {"kind": "pairs"}}, "data.pairs"),
        ({"episodes": {"kind": "gold"}}, "data.labeled"),
        (
            {"episodes": {"kind": "pairs"}, "data.pairs": "p.txt", "augment": {"noise": {"probability": 0.5}}},
            "augment",
        ),
        ({"data.validation": None, "stop_after": 2}, "stop_after"),
        ({"watch": "loss", "stop_after": 2}, "stop_after"),
        ({"watch": "loss"}, "watch"),
        ({"data.validation": None, "data.held_out": "h.txt"}, "watch"),
        ({"loss": {"kind": "softmax"}}, "loss.kind"),
        ({"encoder": {"kind": "stream", "frames": "own"}}, "encoder.frames"),
        ({"encoder": STREAM}, "frames"),
        ({"encoder": STREAM, "frames": {"kind": "tower"}}, "frames"),
        ({"episodes": {"tempo": [1.8, 0.5]}}, "tempo"),
        ({"episodes": {"kind": "words"}}, "episodes.kind"),
        ({"data.section": "a.txt"}, "data.section"),
        ({"encoder": {"kind": "res"}}, "encoder.kind"),
    ],
)
def test_an_error_names_each_key_that_does_not_fit(changed, changes, key):
    with pytest.raises(InputError) as caught:
        check_any_recipe(changed(changes), "recipe.toml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("recipe.toml: ") for line in lines)
    assert any(f"{key}: " in line for line in lines)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data.validation": None},
        {"episodes": {"kind": "pairs"}, "data.pairs": "pairs.txt"},
        {"episodes": {"kind": "gold"}, "data.labeled": "labeled.txt", "data.sections": None},
        {"watch": "loss", "data.held_out": "held.txt", "stop_after": 2},
        {"encoder": STREAM, "frames": TOWER},
        {"augment": {"reverb": {"probability": 0.5}}},
    ],
)
def test_a_recipe_survives_json(changed, changes):
    recipe = check_any_recipe(changed(changes), "recipe")
    assert isinstance(recipe, SequenceRecipe)
    assert check_any_recipe(json.loads(recipe.model_dump_json()), "checkpoint") == recipe


def test_defaults_are_the_published_settings(table):
    plain = {key: table[key] for key in ("kind", "name", "data")}
    recipe = check_any_recipe(plain, "recipe")
    assert recipe.loss == NTXentSettings(temperature=0.15)
    assert recipe.encoder.features == 768
    assert recipe.episodes == SectionSettings(
        segments=250, seconds=20, most_sections=20, least_sections=20, shortest_s=1.2, tempo=(0.5, 1.8)
    )
    assert (PairSettings().pairs, PairSettings().same_file, GoldSettings().labels) == (256, False, 256)
    assert not recipe.augment.is_active
    assert (recipe.context.context_s, recipe.context.longest_s, recipe.context.shortest_s) == (5, 20, 0.04)


def test_a_loss_without_kind_is_nt_xent(changed):
    recipe = check_any_recipe(changed({"loss": {"temperature": 0.3}}), "recipe")
    assert recipe.loss == NTXentSettings(temperature=0.3)
    assert check_any_recipe(changed({"loss": {"kind": "triplet"}}), "recipe").loss.kind == "triplet"


LINES = """
kind = "sequences"
name = "little"
seed = 7
[data]
folder = "kept"
audio = "wavs"
sections = "lists/sections.txt"
held_out = "/somewhere/else.txt"
[start]
checkpoint = "../runs/first-{seed}/best.safetensors"
[frames]
kind = "wav2vec2"
model = "/models/small/layers"
[encoder]
features = 16
dimension = 8
"""


def test_paths_start_from_the_recipes_folder(tmp_path):
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes" / "little.toml"
    path.write_text(LINES)
    recipe = read_any_recipe(path, ["watch=loss"])
    folder = tmp_path / "recipes"
    assert recipe.data.folder == folder / "kept"
    assert recipe.data.audio == folder / "wavs"
    assert recipe.data.sections == folder / "lists" / "sections.txt"
    assert str(recipe.data.held_out) == "/somewhere/else.txt"
    assert recipe.data.pairs is None
    assert recipe.start.checkpoint == tmp_path / "runs" / "first-7" / "best.safetensors"


def test_a_portable_recipe_is_the_same_on_any_machine(tmp_path):
    portables = []
    for machine in ("one", "other"):
        path = tmp_path / machine / "recipes" / "little.toml"
        path.parent.mkdir(parents=True)
        path.write_text(LINES)
        portables.append(portable(read_any_recipe(path, ["watch=loss"])))
    assert portables[0] == portables[1]
    assert portables[0]["start"]["checkpoint"] == "first-7/best.safetensors"
    assert portables[0]["frames"]["model"] == "small/layers"
    assert str(tmp_path) not in json.dumps(portables)


def test_the_kind_of_a_recipe_selects_its_model(tmp_path, table):
    assert isinstance(check_any_recipe(table, "recipe"), SequenceRecipe)
    words = {"name": "little", "data": {"folder": "a", "words": [{"manifest": "b.tsv"}]}}
    assert isinstance(check_any_recipe(words, "recipe"), Recipe)
    with pytest.raises(InputError, match="no such recipe"):
        read_any_recipe(tmp_path / "none.toml")


def test_less_loss_and_more_map_are_better(changed):
    by_map = check_any_recipe(changed({}), "recipe")
    assert by_map.cost({"map": 0.7}) < by_map.cost({"map": 0.6}) < by_map.cost({})
    by_loss = check_any_recipe(changed({"watch": "loss", "data.held_out": "h.txt"}), "recipe")
    numbers = {"map": 0.1, "held_out_loss": 1.0}
    assert by_loss.cost(numbers) < by_loss.cost({"map": 0.9, "held_out_loss": 2.0}) < by_loss.cost({"map": 0.9})
