import pytest
import torch
from torch.nn import functional

from earmark.core.errors import InputError
from earmark.training.nn.encoders.clip import ClipEncoder
from earmark.training.nn.encoders.convmixer import Block, ConvMixer, ConvMixerSettings


def test_the_network_has_the_published_number_of_parameters():
    model = ClipEncoder(ConvMixerSettings(dimension=12))
    assert sum(parameter.numel() for parameter in model.parameters()) == 119_388


def test_features_of_another_shape_are_refused():
    network = ConvMixer(ConvMixerSettings())
    with pytest.raises(InputError, match="98 frames of 40"):
        network(torch.zeros(2, 98, 40))


def test_a_block_is_that_of_a_plain_computation():
    torch.manual_seed(0)
    block = Block(6, 5, 9, 20)
    x = torch.randn(3, 64, 20)
    block(2 * x + 1)
    block.eval()
    state = block.state_dict()

    def normalized(x, name):
        shape = (-1, *(1,) * (x.dim() - 2))
        mean, variance, weight, bias = (
            state[f"{name}.{part}"].reshape(shape) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def swish(x):
        return x * torch.sigmoid(x)

    def perceptron(x, name):
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt() * state[f"{name}.0.weight"] + state[f"{name}.0.bias"]
        x = functional.gelu(x @ state[f"{name}.1.weight"].T + state[f"{name}.1.bias"])
        return x @ state[f"{name}.3.weight"].T + state[f"{name}.3.bias"]

    frequency = swish(functional.conv2d(x[:, None], state["frequency.0.weight"], padding=1))
    frequency = swish(functional.conv2d(frequency, state["frequency.2.weight"], padding=(2, 0), groups=6))
    frequency = functional.conv2d(frequency, state["frequency.4.weight"])
    frequency = swish(normalized(frequency, "filtered.0"))[:, 0]
    time = functional.conv1d(frequency, state["time.0.weight"], padding=4, groups=64)
    time = swish(normalized(functional.conv1d(time, state["time.1.weight"]), "time.2"))
    mixed = time + perceptron(time, "mixer.0.over_time")
    mixed = mixed + perceptron(mixed.transpose(1, 2), "mixer.0.over_channels").transpose(1, 2)
    assert torch.allclose(block(x), x + frequency + swish(mixed), atol=1e-4)
