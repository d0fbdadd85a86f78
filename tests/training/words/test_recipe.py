import json
import re
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.training.words.recipe import Recipe, check_recipe, portable, read_recipe

ROOT = Path(__file__).parents[3] / "recipes"
RECIPES = sorted([*ROOT.glob("*.toml"), *(ROOT / "models").glob("*.toml")])

SMALLEST = """
name = "small"
[data]
folder = "packed"
words = [{ manifest = "words.tsv" }]
"""


@pytest.fixture
def write(tmp_path):
    """`write(text)`: a recipe with the text below the smallest."""

    def make(text="", name="recipe.toml"):
        path = tmp_path / name
        path.write_text(SMALLEST + text, encoding="utf-8")
        return path

    return make


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_can_be_read(path):
    assert read_recipe(path).name == path.stem


def test_paths_start_from_the_folder_of_the_recipe(write, tmp_path):
    recipe = read_recipe(write())
    assert recipe.data.folder == tmp_path / "packed"
    assert recipe.data.words[0].manifest == tmp_path / "words.tsv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optimizer]\nlrr = 1\n", "optimizer.lrr: no such key; did you mean 'lr'?"),
        ("[optimzer]\nlr = 1\n", "optimzer: no such key; did you mean 'optimizer'?"),
        ("[augment.noise]\nsnr_bd = [1, 2]\n", "augment.noise.snr_bd: no such key; did you mean 'snr_db'?"),
        ("[scenes]\nqqqqqq = 1\n", "scenes.qqqqqq: no such key"),
        ("[[data.noise]]\nmanifst = 'a'\n", "data.noise.0.manifst: no such key; did you mean 'manifest'?"),
        ("[[data.noise]]\nmanifest = 'a'\nsplt = 'b'\n", "data.noise.0.splt: no such key; did you mean 'split'?"),
        ("[optimizer]\nsteps = 'many'\n", "optimizer.steps: input should be a valid integer"),
        ("[scenes]\nspeed = [1.0]\n", "scenes.speed.1: field required"),
        ("[encoder]\ncontext = 2\n", "encoder: context: 2"),
        ("[distillation]\nsounds = 4\n", "distillation.sounds: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_the_key(write, text, message, raises_one_line):
    path = write(text)
    with raises_one_line(InputError, f"{path}: {message}"):
        read_recipe(path)


def test_a_name_that_is_no_file_name_is_refused(write):
    with pytest.raises(InputError, match="name: string should match pattern"):
        read_recipe(write(), ["name=../elsewhere"])


def test_a_file_that_is_not_toml_is_refused(write, tmp_path):
    with pytest.raises(InputError, match=r"recipe\.toml: not TOML: "):
        read_recipe(write("what is this"))
    (tmp_path / "sound.toml").write_bytes(bytes(range(255)))
    with pytest.raises(InputError, match=r"sound\.toml: not TOML: "):
        read_recipe(tmp_path / "sound.toml")


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_missing_recipe_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"no such recipe"):
        read_recipe(tmp_path / name)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("optimizer.lr=0.5", ("optimizer", "lr", 0.5)),
        (" optimizer.steps = 7", ("optimizer", "steps", 7)),
        ("scenes.speed=[0.9, 1.1]", ("scenes", "speed", (0.9, 1.1))),
        ("loss.queries=each", ("loss", "queries", "each")),
        ('loss.queries="each"', ("loss", "queries", "each")),
        ("augment.noise.probability=0", ("augment", "noise", "probability", 0)),
        ("data.noise=[{manifest='n.tsv'}]", ("data", "noise", 0, "split", "")),
        ("name=a.b", ("name", "a.b")),
    ],
)
def test_a_key_can_be_set_on_the_command_line(write, override, value):
    found = read_recipe(write(), [override])
    for part in value[:-1]:
        found = found[part] if isinstance(part, int) else getattr(found, part)
    assert found == value[-1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr", "optimizer.lr: write it as key=value"),
        ("optimizer.lrr=1", "optimizer.lrr: no such key; did you mean 'lr'"),
        ("=1", "no such key"),
        ("name.first=a", "name.first=a: "),
        ("data.words.0.split=a", "data.words.0.split=a: 'words' is a value without keys"),
        ("seed=soon", "seed: input should be a valid integer"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said_too(write, override, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_recipe(write(), [override])


def test_a_recipe_says_only_what_differs_from_the_one_it_extends(write, tmp_path):
    write("[optimizer]\nlr = 0.25\nsteps = 9\n")
    (tmp_path / "other.toml").write_text('extends = "recipe.toml"\nname = "other"\noptimizer.steps = 3\n')
    other = read_recipe(tmp_path / "other.toml", ["seed=4"])
    assert (other.name, other.seed, other.optimizer.lr, other.optimizer.steps) == ("other", 4, 0.25, 3)


def test_recipes_that_extend_each_other_are_refused(tmp_path):
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(InputError, match=r"b\.toml: extends a\.toml, which extends this file in turn"):
        read_recipe(tmp_path / "a.toml")


def test_a_recipe_survives_json(write):
    recipe = read_recipe(write("[encoder]\nparts = 2\n"))
    assert check_recipe(json.loads(recipe.model_dump_json()), "a checkpoint") == recipe


def test_what_a_recipe_says_does_not_depend_on_the_folder_it_is_read_from(write, tmp_path, monkeypatch):
    path = write()
    monkeypatch.chdir(tmp_path.parent)
    values = portable(read_recipe(path))
    assert values == portable(read_recipe(path.relative_to(tmp_path.parent)))
    assert str(tmp_path) not in json.dumps(values)
    assert isinstance(check_recipe(values, "a card"), Recipe)


@pytest.mark.parametrize(
    "overrides", [["optimizer.kind=sgd", "optimizer.lr=0.5"], ["optimizer.lr=0.5", "optimizer.kind=sgd"]]
)
def test_another_kind_keeps_the_keys_that_both_have(write, overrides):
    optimizer = read_recipe(write("[optimizer]\nsteps = 160\nlr = 0.25\n"), overrides).optimizer
    assert (optimizer.kind, optimizer.steps, optimizer.lr) == ("sgd", 160, 0.5)


def test_another_kind_drops_the_keys_that_it_lacks(write):
    path = write("[loss]\nkind = 'angular_prototypical'\nqueries = 'each'\nscale = 7.0\n")
    assert read_recipe(path, ["loss.kind=ge2e"]).loss.scale == 7.0
    assert read_recipe(path, ["loss.kind=ge2e", "loss.scale=3.0"]).loss.scale == 3.0
    assert read_recipe(path, ["loss.kind=angular_prototypical"]).loss.queries == "each"


def test_another_kind_drops_the_keys_that_it_lacks_in_tables_too(write):
    path = write("[augment]\nroom.probability = 0.0\n")
    clips = ["encoder.kind=res", "scenes.kind=center_crop", "augment.kind=one_of", "augment.room.weight=0.5"]
    assert read_recipe(path, clips).augment.room.weight == 0.5


def test_a_key_that_was_set_and_is_of_another_kind_is_an_error(write):
    with pytest.raises(InputError, match=r"loss\.queries: no such key"):
        read_recipe(write(), ["loss.queries=each", "loss.kind=ge2e"])


def test_a_misspelt_key_is_an_error_under_another_kind_too(write):
    with pytest.raises(InputError, match=r"loss\.qeries: no such key"):
        read_recipe(write("[loss]\nqeries = 'each'\n"), ["loss.kind=ge2e"])


def test_a_recipe_of_another_kind_than_the_one_it_extends_keeps_the_keys_that_both_have(write, tmp_path):
    write("[optimizer]\nsteps = 9\n[loss]\nqueries = 'each'\nscale = 7.0\n")
    path = tmp_path / "other.toml"
    path.write_text('extends = "recipe.toml"\nloss.kind = "ge2e"\noptimizer.kind = "sgd"\n')
    other = read_recipe(path)
    assert (other.loss.kind, other.loss.scale) == ("ge2e", 7.0)
    assert (other.optimizer.kind, other.optimizer.steps) == ("sgd", 9)


def test_a_path_starts_from_the_file_that_it_is_written_in(write, tmp_path):
    write("[start]\ncheckpoint = 'runs/{seed}/last.safetensors'\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "other.toml").write_text('extends = "../recipe.toml"\n[[data.noise]]\nmanifest = "noise.tsv"\n')
    recipe = read_recipe(inner / "other.toml", ["seed=3"])
    assert recipe.data.folder == tmp_path / "packed"
    assert recipe.data.words[0].manifest == tmp_path / "words.tsv"
    assert recipe.data.noise[0].manifest == inner / "noise.tsv"
    assert recipe.start.checkpoint == tmp_path / "runs" / "3" / "last.safetensors"


def test_a_path_on_the_command_line_starts_from_the_current_folder(write, tmp_path, monkeypatch):
    path = write()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    recipe = read_recipe(path, ['data.words=[{manifest="recordings/manifest.tsv"}]', "data.folder=packed"])
    assert recipe.data.words[0].manifest == tmp_path / "here" / "recordings" / "manifest.tsv"
    assert recipe.data.folder == tmp_path / "here" / "packed"


def test_a_file_laid_over_a_recipe_changes_its_parts(write, tmp_path):
    (tmp_path / "wide.toml").write_text("[encoder]\nhidden = 7\n", encoding="utf-8")
    recipe = read_recipe(write("[encoder]\ncontext = 5\n"), over=tmp_path / "wide.toml")
    assert (recipe.encoder.hidden, recipe.encoder.context) == (7, 5)
