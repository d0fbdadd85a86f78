import math

import pytest
import torch

from earmark.training.nn.losses.prototypical import Prototypical, PrototypicalSettings


def loss_of(embeddings, labels, background=None):
    return Prototypical(PrototypicalSettings(), classes=0, dimension=0)(embeddings, labels, background)


def plain(embeddings, background=()):
    """Snell et al. 2017, equation 2, one distance after another; the first utterance of each class is the query."""
    words = embeddings.tolist()
    places = [[sum(column) / (len(word) - 1) for column in zip(*word[1:], strict=True)] for word in words]
    total = 0.0
    for right, word in enumerate(words):
        costs = [math.dist(word[0], place) ** 2 for place in [*places, *background]]
        nearest = min(costs)
        total += costs[right] - nearest + math.log(sum(math.exp(nearest - cost) for cost in costs))
    return total / len(words)


@pytest.mark.parametrize("utterances", [2, 3, 4])
def test_the_loss_is_that_of_a_plain_loop_over_the_equation(embeddings, labels, utterances):
    few = embeddings[:, :utterances] / 3
    assert loss_of(few, labels).item() == pytest.approx(plain(few), rel=1e-5)


def test_background_is_a_column_that_is_never_the_target(embeddings, labels, background):
    few = embeddings / 3
    assert loss_of(few, labels, background).item() == pytest.approx(plain(few, background.tolist()), rel=1e-5)
    assert loss_of(few, labels, background).item() > loss_of(few, labels).item()


def test_a_common_offset_of_all_embeddings_does_not_matter(embeddings, labels):
    few = embeddings / 3
    assert loss_of(few + 1000, labels).item() == pytest.approx(loss_of(few, labels).item(), rel=1e-3)


def test_the_length_of_embeddings_matters(embeddings, labels):
    assert loss_of(embeddings / 3, labels).item() != pytest.approx(loss_of(embeddings, labels).item(), rel=0.1)


def test_distant_classes_have_loss_0_and_equal_classes_the_logarithm_of_their_number(labels):
    apart = 10 * torch.eye(5)[:, None].expand(5, 3, 5)
    assert loss_of(apart, labels).item() < 1e-6
    assert loss_of(torch.ones(5, 3, 4), labels).item() == pytest.approx(math.log(5))
