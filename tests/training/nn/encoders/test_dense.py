import numpy as np
import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.nn.encoders.dense import Dense, DenseSettings, flat, norm, prelu
from earmark.training.words.recipe import parse_recipe


def count(module):
    """Number of parameters as Keras counts: with the means and variances of normalizations."""
    state = module.state_dict()
    return sum(tensor.numel() for name, tensor in state.items() if not name.endswith("num_batches_tracked"))


def test_the_encoder_has_the_published_size():
    assert DenseSettings().shape == (32, 20)
    assert count(Dense(DenseSettings())) == 250_875


def plain(state, rows):
    """Reference: the published network in NumPy."""

    def layer(number, x):
        return x @ state[f"layers.{number}.weight"].T + state[f"layers.{number}.bias"]

    def normalized(number, x):
        mean, variance = state[f"layers.{number}.running_mean"], state[f"layers.{number}.running_var"]
        return (x - mean) / np.sqrt(variance + 1e-3) * state[f"layers.{number}.weight"] + state[f"layers.{number}.bias"]

    x = normalized(1, layer(0, rows))
    x = np.where(x > 0, x, x * state["layers.2.weight"])
    return layer(6, normalized(5, layer(4, x)))


def test_the_network_is_that_of_a_plain_computation():
    torch.manual_seed(0)
    network = Dense(DenseSettings())
    torch.nn.init.uniform_(network.get_parameter("layers.2.weight"))
    features = torch.randn(9, 32, 20) * 3 + 1
    for _ in range(5):
        network(features)
    network.eval()
    state = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    expected = plain(state, flat(features).double().numpy())
    assert np.allclose(network(features).detach().numpy(), expected, atol=1e-5)


def test_layers_are_initialized_as_in_keras():
    torch.manual_seed(0)
    first = Dense(DenseSettings()).layers[0]
    edge = (6 / (640 + 300)) ** 0.5
    assert first.weight.abs().max() <= edge
    assert first.weight.std().item() == pytest.approx(edge / 3**0.5, rel=0.01)
    assert not first.bias.any()
    assert prelu(3).weight.tolist() == [0, 0, 0]


def test_batch_statistics_move_by_a_hundredth():
    layer = norm(1)
    layer(torch.tensor([[1.0], [3.0]]))
    assert layer.running_mean.item() == pytest.approx(0.02)
    assert layer.eps == 1e-3


def test_a_clip_of_another_length_is_refused():
    with pytest.raises(InputError, match="31 frames of 20"):
        Dense(DenseSettings())(torch.zeros(2, 31, 20))


def test_the_encoder_embeds_waves_in_any_recipe(table, tmp_path):
    table |= {
        "encoder": {"kind": "dense", "dimension": 6},
        "scenes": {"kind": "center_crop"},
        "augment": {"kind": "one_of"},
    }
    recipe = parse_recipe(table, tmp_path, "recipe")
    torch.manual_seed(0)
    model = recipe.encoder.build().eval()
    assert model(0.1 * torch.randn(3, 16_000)).shape == (3, 6)
