import pytest

from earmark.core.config import read_toml
from earmark.core.errors import InputError
from earmark.training.adaptation.initialization import choose_initialization
from earmark.training.adaptation.recipes import AdaptationRecipes, write_recipe
from earmark.training.adaptation.settings import AdaptSettings
from earmark.training.recipe import read_any_recipe
from earmark.training.sequences.samplers import PairSettings, SectionSettings

SETTINGS = AdaptSettings(steps=4, checks=2, pairs=16)


def test_a_round_s_recipe_has_the_settings_and_reads_back_from_its_file(initialization, tmp_path):
    data = {"folder": tmp_path / "frames", "pairs": tmp_path / 'a "b"\\c.txt', "held_out": tmp_path / "d.txt"}
    recipe = AdaptationRecipes(initialization, SETTINGS, "ünï", "loss").round(data, tmp_path / "e.safetensors")
    assert (recipe.name, recipe.data.pairs, recipe.start.checkpoint, recipe.watch) == (
        "ünï",
        data["pairs"],
        tmp_path / "e.safetensors",
        "loss",
    )
    assert isinstance(recipe.episodes, PairSettings)
    assert (recipe.optimizer.steps, recipe.checkpoint_every, recipe.episodes.pairs) == (4, 2, 16)
    assert (recipe.optimizer.lr, recipe.encoder.dimension) == (3e-3, 16)
    write_recipe(recipe, tmp_path / "round.toml", "round")
    assert read_any_recipe(tmp_path / "round.toml") == recipe


def test_a_written_recipe_keeps_keys_with_dots(write_recipe_file, tmp_path):
    initialization = choose_initialization(None, write_recipe_file('lr_scale = {"transformer.0" = 0.1}\n'))
    data = {"folder": tmp_path, "pairs": tmp_path / "pairs.txt"}
    recipe = AdaptationRecipes(initialization, SETTINGS, "a", "loss").round(data, None)
    write_recipe(recipe, tmp_path / "round.toml", "round")
    assert read_toml(tmp_path / "round.toml")["optimizer"]["lr_scale"] == {"transformer.0": 0.1}


def test_augmentation_is_for_sections_and_not_for_pairs(write_recipe_file, tmp_path):
    initialization = choose_initialization(None, write_recipe_file("[augment.noise]\nprobability = 1.0\n"))
    data = {"folder": tmp_path, "sections": tmp_path / "sections.txt", "pairs": tmp_path / "pairs.txt"}
    recipes = AdaptationRecipes(initialization, SETTINGS, "a", "loss")
    first = recipes.sections(data, 2)
    assert isinstance(first.episodes, SectionSettings)
    assert (first.augment.is_active, first.episodes.least_sections) == (True, 2)
    assert not recipes.round(data, None).augment.is_active


@pytest.mark.parametrize(
    ("init", "text", "message"),
    [
        ("unknown", None, "unknown"),
        (None, 'kind = "words"', "recipe.toml"),
        (None, 'kind = "sequences"\n[encoder]\nfeature = 3', "did you mean 'features'"),
        ("nowhere.safetensors", None, "nowhere.safetensors"),
        ("nowhere.safetensors", 'kind = "sequences"', "nowhere.safetensors"),
        (None, 'kind = "sequences"\n[start]\ncheckpoint = "nowhere.safetensors"', "nowhere.safetensors"),
    ],
)
def test_an_initialization_that_cannot_be_adapted_is_refused(init, text, message, tmp_path):
    path = None
    if text is not None:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        choose_initialization(init, path)


def test_the_initialization_none_ignores_the_checkpoint_of_a_recipe(write_recipe_file, tmp_path):
    (tmp_path / "first.safetensors").touch()
    path = write_recipe_file('[start]\ncheckpoint = "first.safetensors"\n')
    assert choose_initialization(None, path).checkpoint == tmp_path / "first.safetensors"
    none = choose_initialization("none", path)
    assert (none.checkpoint, none.from_scratch) == (None, True)
