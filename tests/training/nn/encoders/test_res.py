import pytest
import torch
from torch.nn import functional

from earmark.training.nn.encoders.clip import ClipEncoder
from earmark.training.nn.encoders.res import Res, ResSettings


def parameters(**settings):
    return sum(parameter.numel() for parameter in ClipEncoder(ResSettings(**settings)).parameters())


@pytest.mark.parametrize(
    ("depth", "maps", "dimension", "count"),
    [
        (8, 45, 12, 110_307),
        (8, 19, 12, 19_905),
        (15, 45, 12, 237_882),
        (15, 19, 12, 42_648),
        (26, 45, 12, 438_357),
        (26, 19, 12, 78_387),
        (15, 45, 1001, 283_376),
        (26, 45, 1001, 483_851),
        (15, 45, 32, 238_802),
    ],
)
def test_the_networks_have_the_published_numbers_of_parameters(depth, maps, dimension, count):
    assert parameters(depth=depth, maps=maps, dimension=dimension) == count


def plain(state, features, depth):
    """The network layer by layer in evaluation mode; `state` holds its weights in order."""
    weights = [tensor for name, tensor in state.items() if name.endswith("weight") and tensor.dim() == 4]
    means = [tensor for name, tensor in state.items() if name.endswith("running_mean")]
    variances = [tensor for name, tensor in state.items() if name.endswith("running_var")]
    x = functional.conv2d(features[:, None], weights[0], padding=1).clamp(min=0)
    if depth == 8:
        x = functional.avg_pool2d(x, (4, 3))
    if depth == 26:
        x = functional.avg_pool2d(x, (2, 2))
    shortcut = x
    for number in range(1, depth - 1):
        apart = [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 16][number - 1] if depth == 15 else 1
        x = functional.conv2d(x, weights[number], padding=apart, dilation=apart).clamp(min=0)
        if number in range(2, 100, 2):
            x = x + shortcut
            shortcut = x
        mean, variance = means[number - 1], variances[number - 1]
        x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    return x.mean(dim=3).mean(dim=2) @ state["output.weight"].T + state["output.bias"]


@pytest.mark.parametrize("depth", [8, 15, 26])
def test_the_network_is_that_of_a_plain_computation(depth):
    torch.manual_seed(0)
    network = Res(ResSettings(depth=depth, maps=5, dimension=7))
    features = torch.randn(3, 101, 40)
    network(features * 2 + 1)  # so that the running statistics are no longer 0 and 1
    network.eval()
    assert torch.allclose(network(features), plain(network.state_dict(), features, depth), atol=1e-4)


def last_map(network, features):
    """Output of the last layer, before the mean over time and frequency."""
    maps = []
    handle = network.layers[-1].register_forward_hook(lambda _module, _given, found: maps.append(found[1]))
    network(features)
    handle.remove()
    return maps[0]


def test_an_output_of_res15_depends_on_125_frames_and_bands():
    network = Res(ResSettings(maps=2, dimension=2)).eval()
    for parameter in network.parameters():
        # All values are positive, so that ReLU changes none.
        torch.nn.init.constant_(parameter, 0.1)
    features = torch.ones(1, 141, 137, requires_grad=True)
    last_map(network, features)[0, 0, 70, 68].backward()
    assert features.grad is not None
    seen = features.grad[0] != 0
    rows, columns = (seen.any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    assert rows == list(range(70 - 62, 70 + 63))
    assert columns == list(range(68 - 62, 68 + 63))


@pytest.mark.parametrize(("depth", "shape"), [(8, (25, 13)), (15, (101, 40)), (26, (50, 20))])
def test_res8_and_res26_pool_after_the_first_layer(depth, shape):
    network = Res(ResSettings(depth=depth, maps=3, dimension=2)).eval()
    assert last_map(network, torch.randn(1, 101, 40)).shape == (1, 3, *shape)


def test_layers_can_be_frozen_by_name_with_their_statistics():
    state = Res(ResSettings(maps=3)).state_dict()
    assert {name.split(".")[0] for name in state} == {"layers", "output"}
    assert {name.split(".")[1] for name in state if name.startswith("layers")} == {str(i) for i in range(14)}
    assert "layers.3.norm.running_mean" in state
