import pytest
import torch
from torch import nn

from earmark.training.nn.encoders.prelu import PReLU

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 7, 4), (2, 16, 5, 1)])
def test_values_and_gradients_are_those_of_torch(shape, layout):
    torch.manual_seed(0)
    ours, theirs = PReLU(shape[1]), nn.PReLU(shape[1])
    nn.init.uniform_(ours.weight, -1, 2)
    theirs.load_state_dict(ours.state_dict())
    maps, follow = (torch.randn(shape).contiguous(memory_format=layout) for _ in range(2))
    # Both treat 0 as a negative number.
    maps[0, 0, 0, 0] = 0
    found = []
    for layer in (ours, theirs):
        given = maps.clone().requires_grad_()
        made = layer(given)
        made.backward(follow)
        found.append((made, given.grad, layer.weight.grad))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert torch.equal(ours(maps).detach(), ours.eval()(maps).detach())


def test_the_memory_layout_is_kept():
    maps = torch.randn(2, 8, 6, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    made = PReLU(8)(maps)
    (gradient,) = torch.autograd.grad(made.sum(), [maps])
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_in_bfloat16_the_slopes_learn_in_32_bits():
    layer = PReLU(4)
    layer(torch.randn(2, 4, 3, 3).bfloat16()).sum().backward()
    assert layer.weight.grad.dtype == torch.float32
