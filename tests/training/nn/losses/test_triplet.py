import math

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner
from pytorch_metric_learning.reducers import MeanReducer

from earmark.training.nn.losses.triplet import Triplet, TripletSettings


def loss_of(embeddings, labels, background=None, **settings):
    return Triplet(TripletSettings(**settings), classes=0, dimension=0)(embeddings, labels, background)


def plain(embeddings, labels, background, *, margin, unit, squared, mining):
    """The definition, one triplet after another."""

    def distance(one, other):
        if unit:
            one = [x / math.hypot(*one) for x in one]
            other = [x / math.hypot(*other) for x in other]
        return math.dist(one, other) ** (2 if squared else 1)

    words = embeddings.tolist()
    costs = []
    for j, word in enumerate(words):
        negatives = [one for k, other in enumerate(words) if labels[k] != labels[j] for one in other]
        negatives += background.tolist()
        for i, anchor in enumerate(word):
            near = [distance(anchor, positive) for place, positive in enumerate(word) if place != i]
            far = [distance(anchor, negative) for negative in negatives]
            match mining:
                case "all":
                    costs += [max(0, p - n + margin) for p in near for n in far]
                case "hard":
                    costs.append(max(0, max(near) - min(far) + margin))
                case "semi-hard":
                    costs += [p - n + margin for p in near for n in far if p < n <= p + margin]
    return sum(costs) / len(costs) if costs else 0


shapes = pytest.mark.parametrize(
    ("unit", "squared", "margin"), [(False, False, 1.0), (True, False, 0.3), (True, True, 0.2), (False, True, 20.0)]
)
minings = pytest.mark.parametrize("mining", ["all", "hard", "semi-hard"])


@shapes
@minings
def test_the_loss_is_that_of_a_plain_loop_over_triplets(embeddings, labels, background, unit, squared, margin, mining):
    settings = {"margin": margin, "unit": unit, "squared": squared, "mining": mining}
    for others in (background, background[:0]):
        expected = plain(embeddings, labels, others, **settings)
        assert expected > 0
        assert loss_of(embeddings, labels, others, **settings).item() == pytest.approx(expected, rel=1e-5)


@shapes
@minings
def test_the_loss_is_that_of_pytorch_metric_learning(embeddings, labels, background, unit, squared, margin, mining):
    distance = LpDistance(normalize_embeddings=unit, power=2 if squared else 1)
    oracle = TripletMarginLoss(margin=margin, distance=distance, reducer=MeanReducer())
    samples = torch.cat([embeddings.flatten(0, 1), background])
    # In the library, each background clip is a class of one utterance, which is a negative only.
    numbers = torch.cat([labels.repeat_interleave(4), torch.arange(100, 100 + len(background))])
    miner = {
        "all": TripletMarginMiner(margin=math.inf, type_of_triplets="all", distance=distance),
        "hard": BatchHardMiner(distance=distance),
        "semi-hard": TripletMarginMiner(margin=margin, type_of_triplets="semihard", distance=distance),
    }[mining]
    expected = oracle(samples, numbers, miner(samples, numbers))
    found = loss_of(embeddings, labels, background, margin=margin, unit=unit, squared=squared, mining=mining)
    torch.testing.assert_close(found, expected)


@minings
def test_rows_of_one_label_are_not_negatives_of_each_other(embeddings, mining):
    labels = torch.tensor([0, 1, 0, 2, 1])
    settings = {"margin": 1.0, "unit": False, "squared": False, "mining": mining}
    expected = plain(embeddings, labels, torch.zeros(0, 7), **settings)
    assert loss_of(embeddings, labels, **settings).item() == pytest.approx(expected, rel=1e-5)


@minings
def test_without_a_triplet_the_loss_and_its_gradient_are_0(embeddings, labels, mining):
    embeddings.requires_grad_()
    loss = loss_of(embeddings[:1], labels[:1], mining=mining)
    loss.backward()
    assert loss.item() == 0
    assert not embeddings.grad.any()


def test_background_is_never_an_anchor_or_a_positive():
    words = torch.tensor([[[0.0, 0.0], [0.1, 0.0]], [[50.0, 0.0], [50.1, 0.0]]])
    background = torch.tensor([[100.0, 0.0], [900.0, 0.0]], requires_grad=True)
    assert loss_of(words, torch.arange(2), background).item() == 0
    near = torch.tensor([[0.5, 0.0], [900.0, 0.0]], requires_grad=True)
    loss_of(words, torch.arange(2), near).backward()
    assert near.grad[0, 0] < 0  # a gradient step moves the background away from the word
    assert not near.grad[1].any()
