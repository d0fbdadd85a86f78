import math

import pytest
import torch
from torch import nn

from earmark.training.optimiser import OptimiserSettings, build_optimiser, clip_gradients, learning_rate, learnt_by


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    settings = OptimiserSettings(steps=100, lr=2.0, warmup=0.1)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1 + math.cos(math.pi / 2))
    assert 0 < rates[99] < 0.01
    assert learning_rate(0, OptimiserSettings(steps=1)) > 0


def test_the_rate_falls_in_steps_as_published():
    settings = OptimiserSettings(steps=100, lr=1e-3, warmup=0, schedule="step", decay=0.95, decay_every=10)
    assert [learning_rate(step, settings) for step in (0, 9, 10, 25)] == pytest.approx(
        [1e-3, 1e-3, 0.95e-3, 0.95**2 * 1e-3]
    )


def test_steps_of_unknown_length_are_refused():
    with pytest.raises(ValueError, match="decay_every: the schedule 'step' needs to know"):
        OptimiserSettings(schedule="step")


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_only_weights_decay_and_frozen_ones_are_left_out(kind):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    loss = nn.ParameterList([nn.Parameter(torch.tensor(1.0))])
    optimiser = build_optimiser(OptimiserSettings(kind=kind, weight_decay=0.1), model, loss)
    decaying, others = optimiser.param_groups
    assert [tuple(parameter.shape) for parameter in decaying["params"]] == [(2, 4)]
    assert others["weight_decay"] == 0
    assert len(learnt_by(optimiser)) == 5


def test_gradients_are_shortened_to_the_largest_norm():
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    clip_gradients([parameter], OptimiserSettings(clip_norm=0))
    assert parameter.grad.tolist() == [3, 4]
    clip_gradients([parameter], OptimiserSettings(clip_norm=1.0))
    assert parameter.grad.norm().item() == pytest.approx(1, abs=1e-3)
