import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.nn import functional

from earmark.training.nn.encoders import EncoderSettings
from earmark.training.nn.encoders.sphere import Sphere, SphereSettings

NARROW = {"widths": (4, 6, 8, 10), "dimension": 7}


@pytest.fixture(scope="module")
def published():
    return Sphere(SphereSettings())


def parameters(network, kind):
    return sum(p.numel() for layer in network.modules() if isinstance(layer, kind) for p in layer.parameters())


def test_the_network_has_the_published_numbers_of_parameters(published):
    assert parameters(published, nn.Conv2d) == 11_654_272
    assert parameters(published, nn.PReLU) == 4672
    assert parameters(published, nn.Linear) == 4_456_960
    assert parameters(Sphere(SphereSettings(widths=(1, 1, 1, 512), dimension=128)), nn.Linear) == 1_114_240
    assert sum(isinstance(layer, nn.Conv2d) for layer in published.modules()) == 20


def test_the_stages_have_the_published_maps():
    settings = SphereSettings(widths=(1, 1, 1, 1))
    assert (settings.samples, settings.shape) == (48_241, (300, 257))
    x, shapes = torch.zeros(1, 1, *settings.shape), []
    for stage in Sphere(settings).stages:
        x = stage(x)
        shapes.append(tuple(x.shape[2:]))
    assert shapes == [(150, 129), (75, 65), (38, 33), (19, 17)]


def test_only_the_biases_of_residual_convolutions_are_not_trained(published):
    held = {name for name, parameter in published.named_parameters() if not parameter.requires_grad}
    assert len(held) == 16
    assert all(not published.get_parameter(name).any() for name in held)
    network = Sphere(SphereSettings(**NARROW))
    network(torch.randn(3, 300, 257)).square().sum().backward()
    idle = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert set(idle) == held


def test_the_weights_are_initialized_as_published(published):
    for number, stage in enumerate(published.stages):
        entry, prelu, *units = stage
        fan_in = entry.weight[0].numel()
        assert entry.weight.abs().max() <= (3 / fan_in) ** 0.5
        if number:
            assert entry.weight.var().item() == pytest.approx(1 / fan_in, rel=0.05)
        assert (prelu.weight == 0.25).all()
        for unit in units:
            for convolution in unit.layers[::2]:
                assert convolution.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not published.output.bias.any()


def plain(state, features, units):
    """The network layer by layer; `state` holds its weights in order."""
    left = list(state.values())

    def layer(x, stride):
        weight, bias, slope = left.pop(0), left.pop(0), left.pop(0)[:, None, None]
        x = functional.conv2d(functional.pad(x, (1, 1, 1, 1)), weight, stride=stride) + bias[:, None, None]
        return torch.where(x > 0, x, slope * x)

    x = features[:, None]
    for count in units:
        x = layer(x, 2)
        for _ in range(count):
            x = x + layer(layer(x, 1), 1)
    weight, bias = left
    columns = sum(x[:, :, frame] for frame in range(x.shape[2])) / x.shape[2]
    return columns.reshape(len(x), -1) @ weight.T + bias


@pytest.mark.parametrize(("units", "frames"), [((1, 2, 4, 1), 300), ((0, 1), 61)])
def test_the_network_is_that_of_a_plain_computation(units, frames):
    torch.manual_seed(0)
    network = Sphere(SphereSettings(widths=(4, 6, 8, 10)[: len(units)], units=units, dimension=7, init=0.1))
    for slope in (layer.weight for layer in network.modules() if isinstance(layer, nn.PReLU)):
        nn.init.uniform_(slope, -0.5, 1.5)
    features = torch.randn(6, frames, 257)
    found = network(features)
    state = {name: parameter.detach().clone().requires_grad_() for name, parameter in network.named_parameters()}
    expected = plain(state, features, units)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    found.square().sum().backward()
    expected.square().sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            gradient, wanted = parameter.grad, state[name].grad
            assert gradient is not None
            assert wanted is not None
            scale = wanted.abs().max()
            assert torch.allclose(gradient / scale, wanted / scale, rtol=1e-3, atol=1e-4), name


def test_dropout_zeros_means_in_training_only():
    network, features = Sphere(SphereSettings(dropout=0.5, **NARROW)), torch.randn(2, 300, 257)
    assert not torch.equal(network(features), network(features))
    network.eval()
    assert torch.equal(network(features), network(features))


def test_the_embedding_of_many_crops_is_that_of_their_mean_maps():
    network, crops = Sphere(SphereSettings(**NARROW)), torch.randn(9, 300, 257)
    maps = torch.stack([network.stages(crop[None, None])[0] for crop in crops]).mean(dim=0)
    assert torch.allclose(network(crops).mean(dim=0), network.output(maps.mean(dim=1).flatten()), atol=1e-5)


def test_the_kind_chooses_the_network_and_a_recipe_can_narrow_it():
    table = {"kind": "sphere", "widths": [8, 16], "units": [1, 1], "dimension": 32}
    settings = TypeAdapter(EncoderSettings).validate_python(table)
    assert isinstance(settings, SphereSettings)
    assert settings.build()(torch.randn(2, settings.samples)).shape == (2, 32)


def test_widths_and_units_must_be_equally_many():
    with pytest.raises(ValidationError, match="widths, units"):
        SphereSettings(widths=(8, 16, 32))
