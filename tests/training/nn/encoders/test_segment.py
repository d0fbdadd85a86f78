import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from earmark.core.errors import InputError
from earmark.training.nn.encoders.segment import SegmentEncoder, SegmentSettings, sinusoids

SMALL = {"features": 12, "dimension": 16, "feed_forward": 24, "heads": 4}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(params=[{}, {"context": 1}, {"context": 5, "layers": 2, "positions": "none"}, {"layers": 0}])
def encoder(request):
    torch.manual_seed(0)
    network = SegmentEncoder(SegmentSettings(**SMALL, **request.param))
    for parameter in network.parameters():  # so that no bias is 0 and no scale is 1
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


def test_the_published_network_has_the_published_number_of_parameters():
    network = SegmentEncoder(SegmentSettings())
    assert count(network.norm) == 1536
    assert count(network.convolution) == 3_146_752
    assert count(network.transformer) == 3_152_384
    assert count(network.head) == 525_312
    assert count(network) == 6_825_984


@pytest.mark.parametrize("filling", [0.0, 1.0, 1e6, float("nan"), float("inf")])
def test_padding_does_not_change_an_embedding(encoder, filling):
    torch.manual_seed(1)
    segments = [3 * torch.randn(length, 12) for length in (1, 2, 7, 30)]
    lengths = torch.tensor([len(segment) for segment in segments])
    padded = torch.full((4, 41), filling)[:, :, None] * torch.randn(4, 41, 12)
    for row, segment in zip(padded, segments, strict=True):
        row[: len(segment)] = segment
    with torch.no_grad():
        together = encoder(padded, lengths)
        for row, segment in enumerate(segments):
            alone = encoder(segment[None], lengths[row : row + 1])
            torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-5)


def test_padding_does_not_change_a_gradient():
    torch.manual_seed(2)
    network = SegmentEncoder(SegmentSettings(**SMALL, dropout=0))
    segment = torch.randn(1, 9, 12)
    gradients = []
    for size in (9, 25):
        padded = torch.cat([segment, torch.randn(1, size - 9, 12)], dim=1)
        network.zero_grad()
        network.project(network(padded, torch.tensor([9]))).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def plain(network, segment):
    """Reference: the network in evaluation mode for one segment, frame by frame and head by head."""
    weights = {name: parameter.detach().double().numpy() for name, parameter in network.named_parameters()}

    def norm(x, name):
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = norm(segment.double().numpy(), "norm")
    kernel, bias = weights["convolution.weight"], weights["convolution.bias"]
    rows = []
    for middle in range(len(x)):
        total = bias.copy()
        for tap in range(4):
            if 0 <= middle + tap - 1 < len(x):
                total += kernel[:, :, tap] @ x[middle + tap - 1]
        rows.append(total[:16] / (1 + np.exp(-total[16:])))
    x = np.array(rows)
    for place in range(len(x)):
        for pair in range(8):
            angle = place / 10_000 ** (2 * pair / 16)
            x[place, 2 * pair] += np.sin(angle)
            x[place, 2 * pair + 1] += np.cos(angle)
    layer = "transformer.0"
    inside = x @ weights[f"{layer}.self_attn.in_proj_weight"].T + weights[f"{layer}.self_attn.in_proj_bias"]
    heads = []
    for head in range(4):
        query, key, value = (inside[:, part * 16 + head * 4 : part * 16 + head * 4 + 4] for part in range(3))
        scores = np.exp(query @ key.T / 2)
        heads.append(scores / scores.sum(1, keepdims=True) @ value)
    x = norm(x + linear(np.concatenate(heads, axis=1), f"{layer}.self_attn.out_proj"), f"{layer}.norm1")
    x = norm(x + linear(np.maximum(0, linear(x, f"{layer}.linear1")), f"{layer}.linear2"), f"{layer}.norm2")
    return x.max(0)


def test_the_network_is_that_of_a_plain_computation():
    torch.manual_seed(3)
    network = SegmentEncoder(SegmentSettings(**SMALL))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    segment = 2 * torch.randn(11, 12)
    with torch.no_grad():
        embedding = network.eval()(segment[None], torch.tensor([11]))[0]
    np.testing.assert_allclose(embedding.numpy(), plain(network, segment), atol=1e-5)


def test_weights_are_initialized_as_published():
    network = SegmentEncoder(SegmentSettings())
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.dim() == 1:
            assert (parameter == 1).all(), name
        else:
            fan = (parameter.shape[0] + parameter.shape[1]) * (parameter.shape[2] if parameter.dim() == 3 else 1)
            assert float(parameter.detach().abs().max()) == pytest.approx((6 / fan) ** 0.5, rel=0.01), name


def test_order_matters_only_with_positions():
    torch.manual_seed(4)
    segment, lengths = torch.randn(1, 10, 12), torch.tensor([10])
    for positions, is_same in (("none", True), ("sinusoidal", False)):
        network = SegmentEncoder(SegmentSettings(**SMALL, positions=positions, context=1)).eval()
        with torch.no_grad():
            near = torch.allclose(network(segment, lengths), network(segment.flip(1), lengths), atol=1e-5)
        assert near == is_same


def test_the_head_is_a_network_of_its_own():
    network = SegmentEncoder(SegmentSettings(**SMALL)).eval()
    embedding = torch.randn(3, 16)
    first, _, second = network.head
    assert isinstance(first, nn.Linear)
    assert torch.equal(network.project(embedding), second(first(embedding).relu()))
    with torch.no_grad():
        before = network(torch.ones(1, 4, 12), torch.tensor([4]))
        network.head[0].weight.fill_(0)
        assert torch.equal(network(torch.ones(1, 4, 12), torch.tensor([4])), before)


def test_the_position_of_a_frame_does_not_depend_on_later_frames():
    assert torch.equal(sinusoids(5, 8), sinusoids(50, 8)[:5])


@pytest.mark.parametrize("lengths", [[0, 3], [3, 6]])
def test_impossible_lengths_are_refused(lengths):
    network = SegmentEncoder(SegmentSettings(**SMALL))
    with pytest.raises(InputError, match="5 frames"):
        network(torch.zeros(2, 5, 12), torch.tensor(lengths))


@pytest.mark.parametrize(("wrong", "message"), [({"heads": 3}, "heads"), ({"dimension": 5, "heads": 1}, "dimension")])
def test_settings_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        SegmentSettings(**wrong)
