import pytest

from earmark import audio
from earmark.cli.spatial import percent_text
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.training.compare.summary import Average

RECIPE = """
kind = "spatial"
name = "little"
repetitions = 2
[data]
folder = "packed"
speakers = "drawn"
unlabeled = [{ manifest = "words.tsv", split = "train" }]
labeled = [{ manifest = "words.tsv", split = "val" }]
[sizes]
unlabeled = 0
labeled = 0
test = 0
[autoencoder.fit]
epochs = 1
[classifier]
epochs = 1
[benchmark]
epochs = 1
"""


@pytest.fixture
def earmark(tmp_path, monkeypatch, command_line, say):
    """`earmark("spatial", "recipe.toml")` in a folder with a recipe and its recordings: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    clips = []
    for word, pitch in {"rise": 1, "fall": 2}.items():
        for voice in range(6):
            path = f"{word}_{voice}.wav"
            audio.write(path, say(200 * pitch, 150 * pitch**1.5, seconds=0.5, before_s=0.2, after_s=0.2, seed=voice))
            clips.append(Clip(path, speaker=str(voice), label=word, split="train" if voice < 2 else "val"))
    write_manifest(Manifest(tuple(clips)), "words.tsv")

    return command_line


def test_a_check_reports_every_fault_and_learns_nothing(earmark, tmp_path):
    assert earmark("spatial", "recipe.toml", "--check")[0] == 0
    (tmp_path / "rise_0.wav").unlink()
    code, _, err = earmark("spatial", "recipe.toml", "--check", "--set", "data.labeled=[{manifest='none.tsv'}]")
    assert code == 2
    assert [line.split(": ")[:2] for line in err.splitlines()] == [
        ["error", "data.labeled"],
        ["error", "data.unlabeled"],
    ]
    assert not (tmp_path / "packed").exists()


def test_a_simulation_ends_in_a_table_and_resumes_with_more_repetitions(earmark, tmp_path):
    code, out, _ = earmark("spatial", "recipe.toml", "--set", "repetitions=1", "--run", "run")
    assert code == 0
    assert "1 repetition, in %\n" in out
    code, out, _ = earmark("spatial", "recipe.toml", "--run", "run")
    assert code == 0
    for system in ("MFCC, convolution", "auto-encoder, dense", "spatial auto-encoder, dense"):
        assert system in out
    assert "2 repetitions, in %\n" in out
    assert "±" not in out  # Student's interval of two is wider than all possible values
    assert len((tmp_path / "run" / "results.csv").read_text().splitlines()) == 3


def test_an_interval_is_shown_where_it_says_something():
    assert percent_text(Average((0.5, 0.52, 0.54))) == "52.0 ± 5.0"
    assert percent_text(Average((0.5, 0.54))) == "52.0"
    assert percent_text(Average((0.01, 0.02, 0.06))) == "3.0"
    assert percent_text(Average((-0.01, 0.0, 0.01)), least=-1.0) == "0.0 ± 2.5"


def test_wrong_settings_end_in_one_line(earmark):
    code, _, err = earmark("spatial", "recipe.toml", "--set", "sizes.unlabled=3")
    assert code == 2
    assert err == "error: recipe.toml: sizes.unlabled: no such key; did you mean 'unlabeled'?\n"
    code, _, err = earmark("spatial", "recipe.toml", "--set", "sizes.test=300")
    assert code == 2
    assert "sizes.test: " in err


def test_a_recipe_for_another_command_names_it(earmark, tmp_path):
    (tmp_path / "other.toml").write_text('name = "other"\n[encoder]\nkind = "res"\n')
    code, _, err = earmark("spatial", "other.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert "earmark train" in err
    code, _, err = earmark("spatial", "recipe.toml", "--set", "kind=sequences")
    assert code == 2
    assert err.endswith("run: earmark train recipe.toml\n")
    for kind in ((), ("--set", "kind=spatial")):
        code, _, err = earmark("train", "recipe.toml", *kind)
        assert code == 2
        assert err.endswith("run: earmark spatial recipe.toml\n")


def test_help_has_an_example(earmark):
    code, out, _ = earmark("spatial", "--help")
    assert code == 0
    assert "earmark spatial recipes/humayun/arabic.toml" in " ".join(out.split())
