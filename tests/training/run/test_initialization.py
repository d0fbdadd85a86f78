import math
from typing import Any

import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.loop import train
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.words.recipe import parse_recipe

CLIPS: dict[str, Any] = {
    "scenes": {"kind": "center_crop"},
    "augment": {"kind": "one_of"} | {effect: {"weight": 0.0} for effect in ("room", "noise", "music", "speech")},
    "encoder": {"kind": "res", "depth": 8, "maps": 3, "dimension": 6},
    "loss": {"kind": "softmax"},
    "episodes": {"words": 0, "utterances": 2},
    "optimizer": {"steps": 3, "lr": 0.05},
}


def tensors(path):
    return load_checkpoint(path).tensors


@pytest.fixture
def trained(table, tmp_path):
    """`trained("one", **changes)`: the last checkpoint of a run of three steps, of a recipe of clips."""

    def run(name, **changes):
        recipe = parse_recipe(table | CLIPS | {"name": name} | changes, tmp_path, "recipe")
        train(recipe, tmp_path / name, device="cpu")
        return tmp_path / name / "last.safetensors"

    return run


def test_a_run_is_initialized_from_another_and_keeps_frozen_modules(trained):
    first = trained("first")
    second = trained("second", start={"checkpoint": str(first), "freeze": ["network.layers.0", "network.layers.1"]})
    before, after = tensors(first), tensors(second)
    frozen = [name for name in before if name.startswith(("model.network.layers.0.", "model.network.layers.1."))]
    assert any(name.endswith("running_mean") for name in frozen)
    assert [name for name in frozen if not torch.equal(before[name], after[name])] == []
    assert not torch.equal(
        before["model.network.layers.2.convolution.weight"], after["model.network.layers.2.convolution.weight"]
    )
    assert not torch.equal(
        before["model.network.layers.2.norm.running_mean"], after["model.network.layers.2.norm.running_mean"]
    )


def test_the_weights_of_equal_classes_are_loaded(trained):
    first = trained("first")
    slow = {"steps": 1, "lr": 1e-12, "weight_decay": 0.0}
    second = trained("second", start={"checkpoint": str(first)}, optimizer=slow)
    name = next(name for name in tensors(first) if name.startswith("loss.") and name.endswith("weight"))
    assert torch.allclose(tensors(first)[name], tensors(second)[name], atol=1e-9)


@pytest.mark.parametrize(
    ("then", "name"),
    [("am_softmax", "weight"), ("a_softmax", "weight"), ("logistic_margin", "head.weight"), ("triplet", None)],
)
def test_another_loss_with_equal_classes_gets_their_weights(trained, then, name):
    first = trained("first")
    slow = {"steps": 1, "lr": 1e-12, "weight_decay": 0.0}
    second = trained("second", start={"checkpoint": str(first)}, optimizer=slow, loss={"kind": then})
    if name is not None:
        assert torch.allclose(tensors(first)["loss.head.weight"], tensors(second)[f"loss.{name}"], atol=1e-9)


def test_a_scale_is_not_loaded_into_another_loss(trained):
    first = trained("first", loss={"kind": "logistic_margin", "scale": 50.0})
    slow = {"steps": 1, "lr": 1e-12, "weight_decay": 0.0}
    loss = {"kind": "am_softmax", "scale": 100.0, "learned_scale": True}
    second = trained("second", start={"checkpoint": str(first)}, optimizer=slow, loss=loss)
    assert tensors(second)["loss.scale"].item() == 100.0


def test_the_weights_of_other_classes_are_trained_from_scratch_with_a_warning(trained, table):
    first = trained("first")
    fewer = table["data"] | {"targets": ["rise", "fall", "bow"], "others": "class"}
    with pytest.warns(UserWarning, match=r"^last\.safetensors: the 4 classes of the checkpoint"):
        trained("second", start={"checkpoint": str(first)}, data=fewer)


def test_scale_and_bias_are_loaded_for_other_classes(trained, table):
    first = trained("first", loss={"kind": "angular_prototypical"}, optimizer={"steps": 3, "lr": 0.3, "warmup": 0.0})
    fewer = table["data"] | {"targets": ["rise", "fall"], "others": "leave-out"}
    slow = {"steps": 1, "lr": 1e-12, "weight_decay": 0.0}
    second = trained(
        "second", start={"checkpoint": str(first)}, data=fewer, loss={"kind": "angular_prototypical"}, optimizer=slow
    )
    assert tensors(second)["loss.log_scale"] == pytest.approx(float(tensors(first)["loss.log_scale"]), abs=1e-6)
    assert tensors(first)["loss.log_scale"] != pytest.approx(math.log(10), abs=1e-3)


def test_a_head_of_another_shape_is_trained_from_scratch_with_a_warning(trained):
    first = trained("first")
    encoder = CLIPS["encoder"] | {"dimension": 9}
    with pytest.warns(
        UserWarning, match=r"^last\.safetensors: the checkpoint has no tensors network\.\S+, network\.\S+ of"
    ):
        second = trained("second", start={"checkpoint": str(first)}, encoder=encoder, loss={"kind": "ge2e"})
    biases = [
        tensor for name, tensor in tensors(second).items() if name.startswith("model.") and name.endswith(".bias")
    ]
    assert [tuple(bias.shape) for bias in biases] == [(9,)]


def test_a_run_that_was_initialized_from_another_resumes_from_its_own_checkpoint(trained):
    first = trained("first")
    second = trained("second", start={"checkpoint": str(first)})
    before = tensors(second)
    first.unlink()
    first.with_name("best.safetensors").rename(first)  # it has to be there, but is not read again
    after = tensors(trained("second", start={"checkpoint": str(first)}))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"checkpoint": "nowhere.safetensors"}, "nowhere.safetensors: "),
        ({"freeze": ["network.layer.0"]}, "start.freeze: the encoder has no module 'network.layer.0'"),
        ({"freeze": ["network"]}, "start.freeze: "),
    ],
)
def test_a_wrong_initialization_names_its_key(trained, start, message):
    with pytest.raises(InputError) as error:
        trained("first", start=start)
    assert message in str(error.value)


def test_another_network_altogether_is_refused(trained):
    first = trained("first")
    with pytest.raises(InputError, match=r"^start\.checkpoint: .*first/last\."):
        trained("second", start={"checkpoint": str(first)}, encoder={"kind": "bc_resnet", "dimension": 6})
