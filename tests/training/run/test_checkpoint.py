import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import save_file

from earmark.core.errors import InputError
from earmark.training.nn.encoders import StreamSettings
from earmark.training.nn.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint, state_of


def trained(seed, steps=2):
    """A small network, its loss and its optimizer, after some steps."""
    torch.manual_seed(seed)
    model = StreamSettings(widths=(2, 2, 2, 2, 2), hidden=3, dimension=4).build()
    objective = AngularPrototypicalSettings().build(classes=2, dimension=4)
    optimizer = torch.optim.AdamW([*model.parameters(), *objective.parameters()], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(model(torch.randn(4, 16_000)).sum(1).unflatten(0, (2, 2)), torch.arange(2)).backward()
        optimizer.step()
    return model, objective, optimizer


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    state = Checkpoint({"name": "ä"}, 7, {"eer": 0.25}, state_of(*trained(0)), ("a", "b"))
    save_checkpoint(tmp_path / "last.safetensors", state)
    again = load_checkpoint(tmp_path / "last.safetensors")
    assert (again.recipe, again.step, again.metrics, again.classes) == ({"name": "ä"}, 7, {"eer": 0.25}, ("a", "b"))
    assert again.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(again.tensors[name], state.tensors[name]) for name in state.tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


def test_a_restored_run_is_in_the_state_that_was_saved(tmp_path):
    kept = state_of(*trained(0))
    save_checkpoint(tmp_path / "a.safetensors", Checkpoint({}, 1, {}, kept))
    other = trained(1)
    restore(load_checkpoint(tmp_path / "a.safetensors").tensors, *other)
    now = state_of(*other)
    assert now.keys() == kept.keys()
    assert all(torch.equal(now[name], kept[name]) for name in kept)


def test_a_state_does_not_change_when_the_training_continues():
    model, objective, optimizer = trained(0)
    kept = state_of(model, objective, optimizer)
    with torch.no_grad():
        model.head.leave.bias += 1
    assert not torch.equal(kept["model.head.leave.bias"], model.head.leave.bias)


def test_a_checkpoint_is_tensors_and_json_and_nothing_else(tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Checkpoint({"name": "x"}, 1, {}, state_of(*trained(0))))
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    meta = header.pop("__metadata__")
    assert json.loads(meta["earmark"]) == {"recipe": {"name": "x"}, "step": 1, "metrics": {}, "classes": []}
    assert all(entry["dtype"] in {"F32", "I64"} for entry in header.values())
    assert len(content) == 8 + length + max(entry["data_offsets"][1] for entry in header.values())


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a checkpoint ran code",)


@pytest.mark.parametrize(
    "write",
    [
        lambda _: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"garbage" * 100),
        lambda path: path.write_bytes(pickle.dumps(Bomb())),
        lambda path: torch.save(torch.zeros(3), path),
        lambda path: save_file({"x": torch.zeros(3)}, path),
        lambda path: save_file({"x": torch.zeros(3)}, path, metadata={"earmark": "{}"}),
        lambda path: save_file({"x": torch.zeros(3)}, path, metadata={"earmark": "{"}),
    ],
    ids=["absent", "folder", "empty", "garbage", "pickle", "torch", "foreign", "no step", "no JSON"],
)
def test_a_file_that_is_not_a_checkpoint_is_refused_in_one_line(tmp_path, write, raises_one_line):
    path = tmp_path / "a.safetensors"
    write(path)
    with raises_one_line(InputError, f"{path}: "):
        load_checkpoint(path)
