import json
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from earmark.core.errors import EarmarkError, InputError
from earmark.training.loop import build_task, chosen_checkpoint, train, train_in_steps
from earmark.training.nn.encoders import StreamSettings
from earmark.training.run.checkpoint import load_checkpoint, save_checkpoint
from earmark.training.words.recipe import parse_recipe


def tensors(folder):
    return load_checkpoint(folder / "last.safetensors").tensors


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def with_eers(eers):
    """Builds the training task of a recipe, with given EERs as its validation."""
    found = iter(eers)

    def build(*arguments, **options):
        task: Any = build_task(*arguments, **options)
        task.validate = lambda: {"accuracy": 0.5, "eer": next(found), "frr": 0.5}
        return task

    return build


def test_a_run_that_was_stopped_resumes_to_the_same_bits(recipe, check_resuming):
    check_resuming(recipe, stop_at=5, kept=3)


def test_each_checkpoint_is_yielded_and_logged_and_the_best_is_kept(recipe, tmp_path):
    reported = [{"step": step} | metrics for step, metrics in train_in_steps(recipe, tmp_path / "run", device="cpu")]
    assert reported == log(tmp_path / "run")
    assert [line["step"] for line in reported] == [3, 6]
    assert reported[0].keys() == {"step", "loss", "accuracy", "eer", "frr"}
    state = load_checkpoint(chosen_checkpoint(recipe, tmp_path / "run"))
    assert state.metrics["eer"] == min(line["eer"] for line in reported)
    assert state.recipe == json.loads(recipe.model_dump_json())


def test_a_finished_run_is_not_changed(recipe, tmp_path):
    best = train(recipe, tmp_path / "run", device="cpu")
    before = log(tmp_path / "run")
    assert train(recipe, tmp_path / "run", device="cpu") == best
    assert log(tmp_path / "run") == before


def test_without_validation_clips_the_last_step_is_the_best(table, tmp_path):
    del table["data"]["validation"]
    best = train(parse_recipe(table, tmp_path, "recipe"), tmp_path / "run", device="cpu")
    assert load_checkpoint(best).step == 6


def test_another_seed_gives_another_network(recipe, table, tmp_path):
    train(recipe, tmp_path / "one", device="cpu")
    other = parse_recipe(table | {"seed": 4}, tmp_path, "recipe")
    train(other, tmp_path / "two", device="cpu")
    assert not torch.equal(
        tensors(tmp_path / "one")["model.head.leave.weight"], tensors(tmp_path / "two")["model.head.leave.weight"]
    )


def test_a_run_of_another_recipe_in_the_folder_is_refused(recipe, table, tmp_path):
    train(recipe, tmp_path / "run", device="cpu")
    other = parse_recipe(table | {"seed": 4}, tmp_path, "recipe")
    with pytest.raises(InputError, match=r"run: "):
        train(other, tmp_path / "run", device="cpu")


def test_a_run_resumes_with_a_recipe_from_another_folder(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table["data"]["folder"] = "packed"
    train(parse_recipe(table, tmp_path, "recipe"), tmp_path / "run", device="cpu")
    train(parse_recipe(table, tmp_path.relative_to(tmp_path), "recipe"), tmp_path / "run", device="cpu")


def test_a_loss_that_is_not_finite_stops_the_run(table, tmp_path):
    table["optimizer"]["lr"] = 1e35
    with pytest.raises(EarmarkError, match=r"^little: the loss is nan at step \d; try a smaller optimizer\.lr$"):
        train(parse_recipe(table, tmp_path, "recipe"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.parametrize("device", ["gpu", "cuda:77"])
def test_a_device_that_torch_cannot_use_is_refused(recipe, tmp_path, device):
    with pytest.raises(InputError, match=f"^device: .*{device}") as error:
        train(recipe, tmp_path / "run", device=device)
    assert "\n" not in str(error.value)


def test_validation_words_that_are_training_labels_are_refused(table, tmp_path):
    table["data"]["validation"].append({"manifest": table["data"]["words"][0]["manifest"], "exclude": ["bow", "fall"]})
    with pytest.raises(InputError, match=r"^data\.validation: .*'dip' and 1 more"):
        train(parse_recipe(table, tmp_path, "recipe"), tmp_path / "run", device="cpu")


def test_validation_words_need_clips_for_takes_and_trials(table, tmp_path):
    table["data"]["validation"] = [
        {"manifest": table["data"]["words"][0]["manifest"], "prefix": "other ", "labels": ["dip"]}
    ]
    with pytest.raises(InputError, match=r"^data\.validation: 1 "):
        train(parse_recipe(table, tmp_path, "recipe"), tmp_path / "run", device="cpu")


@pytest.mark.parametrize("copies", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_distillation_adds_the_loss_of_frames(table, tmp_path, corpus, copies):
    table["data"] |= {"sounds": [{"manifest": str(corpus / "validation.tsv")}], "copies": copies}
    table["optimizer"]["steps"] = 1
    losses = []
    for weight in (1.0, 3.0):
        table["distillation"] = {"weight": weight, "sounds": 3}
        train(parse_recipe(table, tmp_path, "recipe"), tmp_path / f"run {weight}", device="cpu")
        losses.append(log(tmp_path / f"run {weight}")[0]["loss"])
    frame_loss = (losses[1] - losses[0]) / 2
    assert 0.1 < frame_loss < 3  # of vectors at about unit scale


@pytest.mark.slow
@pytest.mark.parametrize("copies", [0, 1])
def test_on_published_frames_only_the_head_is_trained(table, tmp_path, copies):
    table["data"]["copies"] = copies
    table["encoder"] = {"frames": "published", "hidden": 8, "dimension": 6}
    table["optimizer"]["steps"] = 2
    best = train(parse_recipe(table, tmp_path, "recipe"), tmp_path / "run", device="cpu")
    kept = load_checkpoint(best).tensors
    published = StreamSettings(frames="published").build().state_dict()
    assert all(torch.equal(kept[f"model.{name}"], published[name]) for name in published if name.startswith("tower."))
    assert sum(name.startswith("optimizer.") and name.endswith(".exp_avg") for name in kept) == 8


def test_a_run_stops_early_when_the_validation_no_longer_improves(table, tmp_path):
    recipe = parse_recipe(table | {"checkpoint_every": 1, "stop_after": 2}, tmp_path, "recipe")
    build = with_eers([0.4, 0.3, 0.35, 0.3001, 0.2, 0.1])
    best = train(recipe, tmp_path / "run", device="cpu", build=build)
    assert [line["eer"] for line in log(tmp_path / "run")] == [0.4, 0.3, 0.35, 0.3001]
    assert load_checkpoint(best).step == 2
    before = log(tmp_path / "run")
    train(recipe, tmp_path / "run", device="cpu", build=build)
    assert log(tmp_path / "run") == before


def test_tensorboard_gets_every_step_and_every_validation(recipe, tmp_path):
    train(recipe, tmp_path / "run", device="cpu")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events.Scalars("checkpoint/eer")] == pytest.approx(
        [line["eer"] for line in log(tmp_path / "run")]
    )


def test_the_log_holds_the_mean_loss_since_the_last_checkpoint(table, tmp_path):
    each = train(parse_recipe(table | {"checkpoint_every": 1}, tmp_path, "recipe"), tmp_path / "each", device="cpu")
    both = train(parse_recipe(table | {"checkpoint_every": 2}, tmp_path, "recipe"), tmp_path / "both", device="cpu")
    losses = [line["loss"] for line in log(each.parent)]
    assert [line["loss"] for line in log(both.parent)] == pytest.approx(
        [(losses[step] + losses[step + 1]) / 2 for step in (0, 2, 4)]
    )


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_other_optimizers_resume_to_the_same_bits(table, tmp_path, kind):
    table["optimizer"] = {"kind": kind, "steps": 4, "lr": 1e-3, "schedule": "step", "decay_every": 2}
    table["checkpoint_every"] = 2
    recipe = parse_recipe(table, tmp_path, "recipe")
    train(recipe, tmp_path / "whole", device="cpu")
    half = parse_recipe(table | {"optimizer": table["optimizer"] | {"steps": 2}}, tmp_path, "recipe")
    train(half, tmp_path / "parts", device="cpu")
    kept = load_checkpoint(tmp_path / "parts" / "last.safetensors")
    save_checkpoint(tmp_path / "parts" / "last.safetensors", replace(kept, recipe=json.loads(recipe.model_dump_json())))
    train(recipe, tmp_path / "parts", device="cpu")
    whole, parts = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_mixed_precision_is_near_full_precision(table, tmp_path):
    table["optimizer"]["steps"] = 1
    losses = []
    for precision in ("float32", "bfloat16"):
        table["optimizer"]["precision"] = precision
        train(parse_recipe(table, tmp_path, "recipe"), tmp_path / precision, device="cpu")
        losses.append(log(tmp_path / precision)[0]["loss"])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"loss": {"kind": "softmax"}, "episodes": {"background": 3, "words": 3}},
            "episodes.background: ",
        ),
        ({"loss": {"kind": "ge2e"}, "episodes": {"utterances": 1, "words": 3}}, "episodes.utterances: "),
        ({"encoder": {"kind": "res"}}, "scenes.kind: res "),
        ({"scenes": {"kind": "center_crop"}}, "scenes.kind: "),
        ({"augment": {"kind": "one_of"}}, "augment.kind: "),
        ({"stop_after": 3, "data": {"validation": []}}, "stop_after: "),
        ({"encoder": {"kind": "bcresnet"}}, "encoder.kind: no such kind 'bcresnet'; did you mean 'bc_resnet'?"),
        ({"loss": {"kind": "am_softmax", "margn": 0.2}}, "loss.margn: no such key; did you mean 'margin'?"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused_before_any_work(table, tmp_path, corpus, change, message):
    sounds = {"sounds": [{"manifest": str(corpus / "validation.tsv")}]}
    wrong = table | change | {"data": table["data"] | sounds | change.get("data", {})}
    with pytest.raises(InputError, match=f"^recipe: {re.escape(message)}"):
        parse_recipe(wrong, tmp_path, "recipe")
