import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional

from earmark.training.nn.encoders import EncoderSettings
from earmark.training.nn.encoders.clip import ClipEncoder
from earmark.training.nn.encoders.resnet_se import ResNetSE, ResNetSESettings

SMALL = {"widths": (8, 8, 16, 24), "blocks": (1, 2, 1, 1), "dimension": 7}


@pytest.mark.parametrize(("pooling", "count"), [("sap", 1_437_078), ("asp", 1_502_614)])
def test_the_standard_network_has_one_and_a_half_million_parameters(pooling, count):
    # Counted by hand: convolutions 1,329,424, their normalizations 4256, excitations 20,710, attention 16,640, and
    # the last layer 66,048, or 131,584 with deviations.
    assert sum(parameter.numel() for parameter in ResNetSE(ResNetSESettings(pooling=pooling)).parameters()) == count


def plain(state, features, blocks, pooling):
    """The network in evaluation mode, layer by layer; `state` holds its weights in order."""
    left = [(name, tensor) for name, tensor in state.items() if not name.endswith("num_batches_tracked")]

    def take():
        return left.pop(0)[1]

    def norm(x):
        weight, bias, mean, variance = (take()[:, None, None] for _ in range(4))
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    x = (features - features.mean(dim=1, keepdim=True)) / (
        features.var(dim=1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    x = norm(functional.conv2d(x[:, None], take(), stride=(1, 2), padding=3)).clamp(min=0)
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage in (1, 2) and block == 0 else 1
            y = norm(functional.conv2d(x, take(), stride=stride, padding=1).clamp(min=0))
            y = norm(functional.conv2d(y, take(), padding=1))
            squeezed = y.mean(dim=3).mean(dim=2)
            squeezed = (squeezed @ take().T + take()).clamp(min=0)
            y = y * torch.sigmoid(squeezed @ take().T + take())[:, :, None, None]
            if "shortcut" in left[0][0]:
                x = norm(functional.conv2d(x, take(), stride=stride))
            x = (x + y).clamp(min=0)
    frames = x.mean(dim=3).transpose(1, 2)
    scores = torch.tanh(frames @ take().T + take()) @ take().T
    weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
    pooled = (weights * frames).sum(dim=1)
    if pooling == "asp":
        power = (weights * frames**2).sum(dim=1)
        pooled = torch.cat([pooled, (power - pooled**2).clamp(min=1e-5).sqrt()], dim=1)
    return pooled @ take().T + take()


@pytest.mark.parametrize("pooling", ["sap", "asp"])
def test_the_network_is_that_of_a_plain_computation(pooling):
    torch.manual_seed(0)
    network = ResNetSE(ResNetSESettings(pooling=pooling, **SMALL))
    features = 3 * torch.randn(5, 61, 40) - 4
    network(features + 1)  # so that the running statistics are no longer 0 and 1
    network.eval()
    found = network(features)
    assert torch.allclose(found, plain(network.state_dict(), features, SMALL["blocks"], pooling), atol=1e-4)


def test_the_stages_have_the_sizes_of_the_field():
    settings = ResNetSESettings(widths=(8, 8, 8, 8))
    network, shapes = ResNetSE(settings).eval(), []
    x = network.entry(torch.zeros(1, 1, 200, settings.frontend.features))
    for stage in network.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[2:]))
    assert shapes == [(200, 20), (100, 10), (50, 5), (50, 5)]


@pytest.mark.parametrize("samples", [1600, 12_345, 64_000])
@pytest.mark.parametrize("pooling", ["sap", "asp"])
def test_clips_of_any_length_have_an_embedding(samples, pooling):
    model = ClipEncoder(ResNetSESettings(pooling=pooling, **SMALL)).eval()
    embeddings = model(0.1 * torch.randn(2, samples))
    assert embeddings.shape == (2, 7)
    assert torch.isfinite(embeddings).all()
    assert not torch.allclose(embeddings[0], embeddings[1])


def test_a_single_frame_has_an_embedding_even_in_training():
    assert torch.isfinite(ResNetSE(ResNetSESettings(**SMALL))(torch.randn(3, 1, 40))).all()


def test_loudness_and_the_color_of_a_channel_change_nothing():
    network = ResNetSE(ResNetSESettings(**SMALL)).eval()
    features, color = torch.randn(2, 50, 40), torch.randn(40)
    assert torch.allclose(network(features + color), network(features), atol=1e-4)


def test_the_kind_chooses_the_network():
    settings = TypeAdapter(EncoderSettings).validate_python({"kind": "resnet_se", "pooling": "asp", **SMALL})
    assert isinstance(settings, ResNetSESettings)
    assert settings.build()(torch.randn(2, settings.samples)).shape == (2, 7)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"widths": (8, 16)}, "widths, blocks"),
        ({"widths": (4, 8, 8, 8)}, "greater than or equal to 8"),
        ({"pooling": "max"}, "sap"),
    ],
)
def test_other_networks_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        ResNetSESettings(**changes)
