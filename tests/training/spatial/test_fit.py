import copy
from itertools import chain

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from earmark.core.errors import EarmarkError, InputError
from earmark.training.spatial.fit import FitSettings, fit, seeded


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Point(nn.Module):
    """A number that is to become 3."""

    def __init__(self, value=0.0):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def loss(self, rows):
        return (self.value - 3).square() + 0 * rows.sum()


def adamax(gradients, lr, betas=(0.9, 0.999), epsilon=1e-7):
    """Kingma and Ba 2015, algorithm 2: the way of a number from 0 on."""
    value = mean = largest = 0.0
    for step in range(1, 6):
        gradient = gradients(value)
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        largest = max(betas[1] * largest, abs(gradient))
        value -= lr / (1 - betas[0] ** step) * mean / (largest + epsilon)
    return value


def nadam(gradients, lr, betas=(0.9, 0.999), epsilon=1e-7):
    """Dozat 2016 with the schedule that Keras has: the way of a number from 0 on."""
    value = mean = square = 0.0
    product = 1.0
    for step in range(1, 6):
        now, then = (betas[0] * (1 - 0.5 * 0.96 ** (0.004 * at)) for at in (step, step + 1))
        product *= now
        gradient = gradients(value)
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        ahead = then * mean / (1 - product * then) + (1 - now) * gradient / (1 - product)
        value -= lr * ahead / (np.sqrt(square / (1 - betas[1] ** step)) + epsilon)
    return value


@pytest.mark.parametrize(("name", "plain"), [("adamax", adamax), ("nadam", nadam)])
def test_steps_are_those_of_the_papers(name, plain):
    point = Point()
    fit(point, point.loss, 2, FitSettings(optimizer=name, lr=0.01, batch=2, epochs=5), generator())
    assert point.value.item() == pytest.approx(plain(lambda value: 2 * (value - 3), 0.01), rel=1e-5)


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own():
    point, seen = Point(), []

    def loss(rows):
        seen.append(rows.tolist())
        return point.loss(rows)

    fit(point, loss, 10, FitSettings(batch=4, epochs=2, patience=5), generator())
    assert [len(rows) for rows in seen] == [4, 4, 2] * 2
    first, second = ([*chain(*seen[at : at + 3])] for at in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_learning_ends_when_the_loss_no_longer_falls():
    losses = iter([5.0, 4.0, 4.0, 4.5, 3.0, 3.5, 3.2, 3.1, 0.0])
    point = Point()

    def loss(rows):
        return next(losses) + 0 * point.loss(rows)

    history = fit(point, loss, 4, FitSettings(batch=4, epochs=50, patience=3), generator())
    assert history.loss == pytest.approx((5.0, 4.0, 4.0, 4.5, 3.0, 3.5, 3.2, 3.1))


def test_held_out_examples_are_not_trained_on_and_stop_early():
    point = Point()
    taught: set[int] = set()
    asked: set[int] = set()

    def loss(rows):
        (taught if point.training else asked).update(rows.tolist())
        return point.loss(rows) if point.training else torch.tensor(1.0)

    history = fit(point, loss, 20, FitSettings(batch=4, epochs=50, patience=2, validation=0.5), generator())
    assert len(taught) == len(asked) == 10
    assert not taught & asked
    assert len(history.loss) == len(history.validation) == 3


@pytest.mark.parametrize(("keep_best", "at"), [(True, 2), (False, 4)])
def test_the_last_weights_stay_unless_the_best_are_asked_for(keep_best, at):
    point = Point()
    states = []

    def loss(rows):
        if point.training:
            return point.loss(rows)
        states.append(copy.deepcopy(point.state_dict()))
        return torch.tensor([3.0, 1.0, 2.0, 2.0][len(states) - 1])

    settings = FitSettings(lr=0.1, batch=4, epochs=50, patience=2, validation=0.5, keep_best=keep_best)
    fit(point, loss, 8, settings, generator())
    assert len(states) == 4
    assert point.state_dict() == states[at - 1]


def test_a_last_batch_of_one_is_left_out():
    sizes = []
    point = Point()

    def loss(rows):
        sizes.append(len(rows))
        return point.loss(rows)

    fit(point, loss, 9, FitSettings(batch=4, epochs=1), generator())
    assert sizes == [4, 4]


def test_what_is_drawn_inside_is_the_generators_and_nobody_elses():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with seeded(generator(4)):
        first = torch.rand(1)
    with seeded(generator(4)):
        again = torch.rand(1)
    assert torch.equal(first, again)
    assert torch.equal(torch.rand(1), expected)


def test_too_few_examples_are_refused():
    point = Point()
    with pytest.raises(InputError, match="2 examples"):
        fit(point, point.loss, 2, FitSettings(validation=0.5), generator())


def test_a_loss_that_is_not_finite_stops_the_training():
    point = Point()
    with pytest.raises(EarmarkError, match=r"^lr: "):
        fit(point, lambda rows: point.loss(rows) * float("nan"), 4, FitSettings(), generator())


def test_a_batch_of_one_is_refused():
    with pytest.raises(ValidationError):
        FitSettings(batch=1)
