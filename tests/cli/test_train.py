import os
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command

from earmark import audio
from earmark.cli import app
from earmark.cli.commands import Group
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest
from earmark.models.encoder import load_encoder

RECIPE = """
name = "little"
checkpoint_every = 2
[data]
folder = "packed"
words = [{ manifest = "learn.tsv" }]
sounds = [{ manifest = "learn.tsv" }]
validation = [{ manifest = "validation.tsv" }]
[scenes]
length_s = 1.3
margin_s = 0.3
[encoder]
widths = [4, 4, 6, 6, 8]
hidden = 12
dimension = 8
[episodes]
words = 3
utterances = 2
[optimizer]
steps = 4
"""


@pytest.fixture
def earmark(tmp_path, monkeypatch, command_line, say):
    """`earmark("train", "recipe.toml")` in a folder with a recipe and its recordings: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    for name, words, voices in (
        ("learn", {"rise": 1, "fall": 2, "bow": 3}, 3),
        ("validation", {"low": 4, "high": 5}, 7),
    ):
        clips = []
        for word, pitch in words.items():
            for voice in range(voices):
                path = f"{name}_{word}_{voice}.wav"
                audio.write(path, say(200 * pitch, 150 * pitch**1.5, seconds=0.5, seed=voice))
                clips.append(Clip(path, speaker=str(voice), label=word, text=word))
        write_manifest(Manifest(tuple(clips)), f"{name}.tsv")

    return command_line


def test_training_prints_each_checkpoint_and_exports_an_encoder(earmark, tmp_path):
    code, out, err = earmark("train", "recipe.toml", "--device", "cpu")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "little: 4 steps in runs/little"
    assert [line.split(":")[0] for line in lines[1:4]] == ["step 2", "step 4", "best"]
    assert all("EER" in line for line in lines[1:4])
    assert lines[4].startswith("wrote runs/little/little.onnx: ")
    assert lines[5].startswith("calibrated: ")
    assert lines[6] == "try it: earmark evaluate few-shot LISTS --audio FOLDER --encoder runs/little/little.onnx"
    encoder = load_encoder(tmp_path / "runs" / "little" / "little.onnx")
    thresholds = encoder.calibration.thresholds
    assert [*thresholds] == sorted(thresholds, reverse=True)
    assert encoder.card["recipe"]["optimizer"]["steps"] == 4


def test_the_same_command_again_resumes_and_another_recipe_is_refused(earmark):
    call = ("train", "recipe.toml", "--device", "cpu", "--run", "here", "--set", "optimizer.steps=2")
    assert earmark(*call)[0] == 0
    assert earmark(*call)[1].splitlines()[0] == "little: 2 steps in here, resumed from step 2"
    code, _, err = earmark(*call, "--set", "seed=5")
    assert code == 2
    assert err.startswith("error: here: ")


def test_the_export_command_writes_the_encoder_of_a_checkpoint(earmark):
    earmark("train", "recipe.toml", "--device", "cpu", "--set", "optimizer.steps=2")
    code, out, _ = earmark("export", "runs/little/last.safetensors", "--out", "models/mine.onnx")
    assert code == 0
    assert out.startswith("wrote models/mine.onnx: ")
    paths = "models/mine.onnx", "runs/little/little.onnx"
    one, other = (load_encoder(path).embed(np.ones(8000, np.float32)) for path in paths)
    assert np.allclose(one, other, atol=1e-6)


def test_without_transcripts_the_encoder_is_written_without_calibration(earmark, tmp_path):
    call = ("train", "recipe.toml", "--device", "cpu", "--set", "data.sounds=[]", "--set", "optimizer.steps=1")
    code, _, err = earmark(*call)
    assert code == 0
    assert "data.sounds: " in err
    assert "calibration" not in load_encoder(tmp_path / "runs" / "little" / "little.onnx").card


def test_validation_words_with_few_clips_leave_the_encoder_without_calibration(earmark, tmp_path):
    clips = read_manifest("validation.tsv")
    few = [clip for word in ("low", "high") for clip in [clip for clip in clips if clip.label == word][:5]]
    write_manifest(Manifest(tuple(few)), "validation.tsv")
    code, out, err = earmark("train", "recipe.toml", "--device", "cpu", "--set", "optimizer.steps=1")
    assert code == 0
    assert "data.validation: " in err
    assert "nan" not in out + err
    assert "calibration" not in load_encoder(tmp_path / "runs" / "little" / "little.onnx").card


@pytest.mark.slow
def test_torchrun_trains_with_an_option_that_it_could_take_for_its_own(earmark, tmp_path):
    del earmark  # its folder holds a recipe
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "--"]
    call = [
        *launcher,
        "earmark",
        "train",
        "recipe.toml",
        "--device",
        "cpu",
        "--run",
        "two",
        "--set",
        "optimizer.steps=1",
    ]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two" / "little.onnx").is_file()


def test_a_check_trains_nothing(earmark, tmp_path):
    before = {*tmp_path.iterdir()}
    code, out, err = earmark("train", "recipe.toml", "--check")
    assert (code, err) == (0, "")
    assert out == "recipe.toml: no fault found\n"
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize("more", [(), ("--check",)])
def test_every_fault_is_found_before_any_work(earmark, tmp_path, more):
    (tmp_path / "learn_rise_0.wav").unlink()
    code, _, err = earmark(
        *("train", "recipe.toml", "--device", "cpu", *more),
        *("--set", "data.noise=[{manifest='noise.tsv'}]", "--set", "data.rooms=[{manifest='rooms.tsv'}]"),
        *("--set", "data.validation=[{manifest='learn.tsv', labels=['fall', 'bow']}, {manifest='none.tsv'}]"),
        *("--set", "episodes.words=9", "--set", "start.checkpoint=none.safetensors", "--set", "start.freeze=['tail']"),
    )
    assert code == 2
    lines = [line.split(": ")[:2] for line in err.splitlines()]
    assert all(first == "error" for first, _ in lines)
    keys = [
        "data.words",
        "data.sounds",
        "data.noise",
        "data.rooms",
        "data.validation",
        "data.validation",
        "episodes.words",
    ]
    assert sorted(key for _, key in lines) == sorted([*keys, "start.checkpoint", "start.freeze"])
    assert not (tmp_path / "packed").exists()


def test_every_wrong_key_is_reported(earmark):
    code, _, err = earmark("train", "recipe.toml", "--set", "optimizer.lrr=1", "--set", "scenes.speed=2", "--check")
    assert code == 2
    assert [line.split(": ")[2] for line in err.splitlines()] == ["optimizer.lrr", "scenes.speed"]


def test_packed_clips_need_no_recordings(earmark, tmp_path):
    assert earmark("train", "recipe.toml", "--device", "cpu", "--set", "optimizer.steps=1")[0] == 0
    for path in tmp_path.glob("*.wav"):
        path.unlink()
    assert earmark("train", "recipe.toml", "--check", "--run", "other")[0] == 0


CLIPS = (
    *("--set", "encoder={kind='res', depth=8, maps=2, dimension=4}", "--set", "scenes={kind='center_crop'}"),
    *("--set", "augment={kind='one_of', room.weight=0, noise.weight=0, music.weight=0, speech.weight=0}"),
)


def test_an_encoder_of_clips_is_evaluated_by_its_checkpoint(earmark, tmp_path):
    code, out, err = earmark("train", "recipe.toml", "--device", "cpu", *CLIPS)
    assert (code, err) == (0, "")
    assert out.endswith("LISTS --audio FOLDER --encoder runs/little/best.safetensors\n")
    assert list((tmp_path / "runs" / "little").glob("*.onnx")) == []
    code, _, err = earmark("export", "runs/little/best.safetensors", "--out", "a.onnx")
    assert code == 2
    assert err.startswith("error: little: an encoder of kind res embeds clips")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "absent.toml"), "absent.toml: "),
        (("train", "recipe.toml", "--set", "optimizer.lrr=1"), "optimizer.lrr: no such key; did you mean 'lr'?"),
        (("train", "recipe.toml", "--set", "optimizer"), "optimizer: "),
        (("train", "recipe.toml", "--device", "gpu"), "error: --device: "),
        (("train", "recipe.toml", "--set", "data.words=[{manifest='no.tsv'}]"), "no.tsv: "),
        (("train", "recipe.toml", "--set", "episodes.words=99"), "episodes.words: "),
        (("export", "absent.safetensors", "--out", "a.onnx"), "absent.safetensors: "),
        (("export", "recipe.toml", "--out", "a.onnx"), "recipe.toml: "),
        (("export", "recipe.toml", "--out", "a.pt"), "error: --out: a.pt "),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(earmark, arguments, message):
    code, _, err = earmark(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_loss_that_is_not_finite_is_exit_code_one(earmark):
    code, _, err = earmark("train", "recipe.toml", "--device", "cpu", "--set", "optimizer.lr=1e35")
    assert code == 1
    assert "the loss is nan at step" in err


@pytest.mark.parametrize("arguments", [["train", "recipe.toml"], ["export", "a.safetensors", "--out", "a.onnx"]])
def test_without_torch_the_missing_extra_is_named(arguments):
    program = (
        f"import sys; sys.modules['torch'] = None; sys.argv[1:] = {arguments!r}\nfrom earmark.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: torch: ")
    assert '[train]"' in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["train", "export"])
def test_help_shows_an_example(name):
    group = get_command(app)
    assert isinstance(group, Group)
    command = group.commands[name]
    assert command.epilog.startswith(f"Example: [bold]earmark {name} ")
