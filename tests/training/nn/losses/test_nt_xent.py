import math

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss

from earmark.core.errors import InputError
from earmark.training.nn.losses.nt_xent import NTXent, NTXentSettings


def loss_of(embeddings, labels, background=None, **settings):
    return NTXent(NTXentSettings(**settings), classes=0, dimension=0)(embeddings, labels, background)


def plain(embeddings, background=(), temperature=0.15):
    """Chen et al. 2020, equation 1, one embedding after another."""

    def cosine(one, other):
        return sum(x * y for x, y in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)

    views = [view for pair in embeddings.tolist() for view in pair]
    total = 0.0
    for i, view in enumerate(views):
        other = i + 1 if i % 2 == 0 else i - 1
        rest = [one for k, one in enumerate(views) if k != i] + list(background)
        below = sum(math.exp(cosine(view, one) / temperature) for one in rest)
        total -= math.log(math.exp(cosine(view, views[other]) / temperature) / below)
    return total / len(views)


@pytest.fixture
def pairs(embeddings):
    return embeddings[:, :2]


@pytest.mark.parametrize("temperature", [0.1, 0.15, 1.0])
def test_the_loss_is_that_of_a_plain_loop_over_the_equation(pairs, labels, temperature):
    found = loss_of(pairs, labels, temperature=temperature)
    assert found.item() == pytest.approx(plain(pairs, temperature=temperature), rel=1e-5)


@pytest.mark.parametrize("sounds", [0, 3])
def test_the_loss_is_that_of_pytorch_metric_learning(pairs, labels, background, sounds):
    samples = torch.cat([pairs.flatten(0, 1), background[:sounds]])
    # In the library, each background clip is a class of one utterance, which is a negative only.
    numbers = torch.cat([labels.repeat_interleave(2), torch.arange(100, 100 + sounds)])
    expected = NTXentLoss(temperature=0.15)(samples, numbers)
    torch.testing.assert_close(loss_of(pairs, labels, background[:sounds]), expected)


def test_background_is_never_the_target(pairs, labels, background):
    found = loss_of(pairs, labels, background).item()
    assert found == pytest.approx(plain(pairs, background.tolist()), rel=1e-5)
    assert found > loss_of(pairs, labels).item()


def test_the_order_of_views_does_not_matter(pairs, labels):
    torch.testing.assert_close(loss_of(pairs.flip(1), labels), loss_of(pairs, labels))


def test_other_than_two_views_are_refused(embeddings, labels):
    with pytest.raises(InputError, match=r"nt_xent.*views"):
        loss_of(embeddings, labels)
