import math

import pytest
import torch

from earmark.training.losses import AngularPrototypicalSettings, build_loss


def loss_of(embeddings, **settings):
    return build_loss(AngularPrototypicalSettings(**settings))(embeddings)


def plain(embeddings, scale=10.0, bias=-5.0):
    """Chung et al. 2020, equations 8 and 9, one cosine after another; the last utterance of each word is the query."""
    units = [[[x / math.hypot(*vector) for x in vector] for vector in word] for word in embeddings.tolist()]
    prototypes = [[sum(column) / (len(word) - 1) for column in zip(*word[:-1], strict=True)] for word in units]
    total = 0.0
    for right, word in enumerate(units):
        scores = []
        for prototype in prototypes:
            cosine = sum(q * c for q, c in zip(word[-1], prototype, strict=True)) / math.hypot(*prototype)
            scores.append(scale * cosine + bias)
        total += -scores[right] + math.log(sum(math.exp(score) for score in scores))
    return total / len(units)


def plain_with_background(embeddings, background, scale=10.0, bias=-5.0):
    """The same with columns that are never right: each adds its term to the sum under the logarithm."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    units = [[[x / math.hypot(*vector) for x in vector] for vector in word] for word in embeddings.tolist()]
    prototypes = [[sum(column) for column in zip(*word[:-1], strict=True)] for word in units]
    total = 0.0
    for right, word in enumerate(units):
        scores = [scale * cosine(word[-1], other) + bias for other in [*prototypes, *background.tolist()]]
        total += -scores[right] + math.log(sum(math.exp(score) for score in scores))
    return total / len(units)


@pytest.fixture
def embeddings():
    return torch.randn(5, 4, 7, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("utterances", [2, 3, 4])
def test_the_loss_is_that_of_a_plain_loop_over_the_equations(embeddings, utterances):
    few = embeddings[:, :utterances]
    assert loss_of(few).item() == pytest.approx(plain(few), rel=1e-5)
    assert loss_of(few, scale=3.0, bias=1.0).item() == pytest.approx(plain(few, 3.0, 1.0), rel=1e-5)


def test_background_is_a_column_that_is_never_right(embeddings):
    background = torch.randn(3, 7, generator=torch.Generator().manual_seed(1))
    loss = build_loss(AngularPrototypicalSettings())(embeddings, background)
    assert loss.item() == pytest.approx(plain_with_background(embeddings, background), rel=1e-5)
    assert loss.item() > loss_of(embeddings).item()


def test_with_each_utterance_a_query_it_is_the_mean_over_rotations(embeddings):
    turned = [loss_of(embeddings.roll(turn, dims=1)).item() for turn in range(4)]
    assert loss_of(embeddings, queries="each").item() == pytest.approx(sum(turned) / 4, rel=1e-5)


@pytest.mark.parametrize("queries", ["last", "each"])
def test_the_order_of_words_does_not_matter(embeddings, queries):
    shuffled = embeddings[torch.tensor([3, 0, 4, 1, 2])]
    assert loss_of(shuffled, queries=queries).item() == pytest.approx(loss_of(embeddings, queries=queries).item())


def test_the_length_of_embeddings_does_not_matter(embeddings):
    longer = embeddings * torch.tensor([0.1, 2.0, 30.0, 1.0])[None, :, None]
    assert loss_of(longer).item() == pytest.approx(loss_of(embeddings).item(), rel=1e-5)


def test_words_that_stand_apart_cost_nothing_and_equal_ones_the_logarithm_of_their_number():
    apart = torch.eye(6)[:, None].expand(6, 3, 6)
    assert loss_of(apart, scale=50.0).item() < 1e-6
    assert loss_of(torch.ones(6, 3, 4)).item() == pytest.approx(math.log(6))


def test_the_gradient_reaches_every_embedding_and_the_scale(embeddings):
    objective = build_loss(AngularPrototypicalSettings())
    embeddings.requires_grad_()
    objective(embeddings).backward()
    assert (embeddings.grad.norm(dim=-1) > 0).all()
    assert objective.log_scale.grad != 0


def test_the_scale_stays_positive_however_large_the_steps(embeddings):
    objective = build_loss(AngularPrototypicalSettings())
    optimiser = torch.optim.SGD(objective.parameters(), lr=5.0)
    for _ in range(20):
        optimiser.zero_grad()
        objective(embeddings).backward()
        optimiser.step()
        assert objective.log_scale.exp() > 0
        assert torch.isfinite(objective(embeddings))
