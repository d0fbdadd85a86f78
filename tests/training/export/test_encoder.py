import json

import numpy as np
import onnx
import pytest
import torch

from earmark.core.errors import EarmarkError, InputError
from earmark.models.encoder import load_encoder
from earmark.training.export.encoder import check_parity, export, load_model
from earmark.training.export.onnx_graph import TOLERANCE, set_card
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from earmark.training.words.recipe import parse_recipe


@pytest.fixture(params=["own", "published"])
def checkpoint(request, table, tmp_path):
    """A checkpoint of an untrained network."""
    torch.manual_seed(0)
    table["encoder"] |= {"frames": request.param, "parts": 2, "context": 5}
    recipe = parse_recipe(table, tmp_path, "recipe")
    model = recipe.encoder.build()
    if request.param == "own":
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        model.train()(torch.randn(3, 20_000) * torch.logspace(-3, -1, 3)[:, None])
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, Checkpoint(json.loads(recipe.model_dump_json()), 40, {"eer": 0.125}, tensors))
    return path


def test_the_exported_graph_computes_what_the_checkpoint_does(checkpoint, tmp_path):
    encoder = export(checkpoint, tmp_path / "models" / "out.onnx")
    difference = check_parity(load_model(load_checkpoint(checkpoint)), encoder)
    assert difference < TOLERANCE / 10
    assert encoder.dimension == 8
    assert encoder.hop_s == 0.04
    assert encoder.frames(np.zeros(6400, np.float32)).shape == (10, 8)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["out.onnx"]


def test_the_graph_takes_chunks_of_any_number_of_hops(checkpoint, tmp_path):
    export(checkpoint, tmp_path / "out.onnx")
    graph = onnx.load(str(tmp_path / "out.onnx"))
    wave = graph.graph.input[0].type.tensor_type.shape.dim
    assert (wave[0].dim_value, wave[1].dim_param) == (1, "samples")
    # The state of the stream has one shape for all chunks.
    assert all(d.dim_value for memory in graph.graph.input[1:] for d in memory.type.tensor_type.shape.dim)
    onnx.checker.check_model(graph)


def test_the_model_card_is_in_the_file_and_holds_no_local_folder(checkpoint, tmp_path):
    encoder = export(checkpoint, tmp_path / "out.onnx", card={"license": "Apache-2.0"})
    assert (encoder.name, encoder.card["step"], encoder.card["license"]) == ("little", 40, "Apache-2.0")
    assert encoder.card["validation"] == {"eer": 0.125}
    assert encoder.card["recipe"]["encoder"]["parts"] == 2
    assert str(tmp_path).encode() not in (tmp_path / "out.onnx").read_bytes()


def test_a_card_can_be_added_to(checkpoint, tmp_path):
    before = export(checkpoint, tmp_path / "out.onnx")
    set_card(tmp_path / "out.onnx", {"step": 41, "calibration": {"slope": 2.0}})
    after = load_encoder(tmp_path / "out.onnx")
    assert after.card == before.card | {"step": 41, "calibration": {"slope": 2.0}}
    assert after.fingerprint != before.fingerprint
    assert [path.name for path in tmp_path.glob("*.onnx")] == ["out.onnx"]


def test_a_graph_that_differs_from_the_checkpoint_is_not_written(checkpoint, tmp_path):
    with pytest.raises(EarmarkError, match=r"^little: .* \(> 0\)"):
        export(checkpoint, tmp_path / "out.onnx", tolerance=0.0)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", Checkpoint({"name": "a"}, 1, {}, {"x": torch.zeros(1)}))
    with pytest.raises(InputError, match="data: "):
        export(tmp_path / "a.safetensors", tmp_path / "out.onnx")
