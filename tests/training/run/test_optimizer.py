import math
from collections import OrderedDict

import pytest
import torch
from torch import nn

from earmark.core.errors import InputError
from earmark.training.run.optimizer import (
    OptimizerSettings,
    build_optimizer,
    clip_gradients,
    learning_rate,
    parameters_of,
)


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    settings = OptimizerSettings(steps=100, lr=2.0, warmup=0.1)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1 + math.cos(math.pi / 2))
    assert 0 < rates[99] < 0.01
    assert learning_rate(0, OptimizerSettings(steps=1)) > 0


def test_the_rate_falls_in_steps_as_published():
    settings = OptimizerSettings(steps=100, lr=1e-3, warmup=0, schedule="step", decay=0.95, decay_every=10)
    assert [learning_rate(step, settings) for step in (0, 9, 10, 25)] == pytest.approx(
        [1e-3, 1e-3, 0.95e-3, 0.95**2 * 1e-3]
    )


def test_steps_of_unknown_length_are_refused():
    with pytest.raises(ValueError, match="decay_every"):
        OptimizerSettings(schedule="step")


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_only_weights_decay_and_frozen_ones_are_left_out(kind):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    loss = nn.ParameterList([nn.Parameter(torch.tensor(1.0))])
    optimizer = build_optimizer(OptimizerSettings(kind=kind, weight_decay=0.1), model, loss)
    decaying, others = optimizer.param_groups
    assert [tuple(parameter.shape) for parameter in decaying["params"]] == [(2, 4)]
    assert others["weight_decay"] == 0
    assert len(parameters_of(optimizer)) == 5


def test_gradients_are_shortened_to_the_largest_norm():
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    clip_gradients([parameter], OptimizerSettings(clip_norm=0))
    assert parameter.grad.tolist() == [3, 4]
    clip_gradients([parameter], OptimizerSettings(clip_norm=1.0))
    assert parameter.grad.norm().item() == pytest.approx(1, abs=1e-3)


def test_modules_of_the_encoder_have_their_own_learning_rates():
    first, last = nn.Linear(3, 4), [nn.Linear(4, 4), nn.Linear(4, 2)]
    model = nn.Sequential(OrderedDict(first=first, last=nn.Sequential(*last)))
    loss = nn.ParameterList([nn.Parameter(torch.tensor(1.0))])
    settings = OptimizerSettings(kind="sgd", lr=0.1, lr_scale={"last.1": 2.0, "last": 3.0})
    optimizer = build_optimizer(settings, model, loss)
    found = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    expected = {0.1: [*first.parameters(), *loss], 0.3: [*last[0].parameters()], 0.2: [*last[1].parameters()]}
    assert found == {id(one): pytest.approx(rate) for rate, parameters in expected.items() for one in parameters}
    assert sorted(map(id, parameters_of(optimizer))) == sorted(map(id, (*model.parameters(), *loss)))
    assert all(group["lr"] == group["lr_scale"] * settings.lr for group in optimizer.param_groups)
    weights = {id(one) for group in optimizer.param_groups if group["weight_decay"] for one in group["params"]}
    assert weights == {id(one) for one in model.parameters() if one.dim() > 1}


def test_a_learning_rate_for_an_unknown_module_is_refused():
    model, loss = nn.Sequential(OrderedDict(first=nn.Linear(3, 4))), nn.ParameterList()
    with pytest.raises(InputError, match=r"optimizer\.lr_scale: .*'frist'"):
        build_optimizer(OptimizerSettings(lr_scale={"frist": 2.0}), model, loss)


def test_settings_tell_runs_apart():
    one, same, other = (OptimizerSettings(lr_scale={"first": scale}) for scale in (2.0, 2.0, 3.0))
    assert len({one, same, other}) == 2
