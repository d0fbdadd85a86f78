import math

import pytest
import torch

from earmark.training.nn.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings


def built(**settings):
    return AngularPrototypical(AngularPrototypicalSettings(**settings), classes=0, dimension=0)


def loss_of(embeddings, background=None, **settings):
    return built(**settings)(embeddings, torch.arange(len(embeddings)), background)


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
    """The same with background: each clip adds its term to the sum in the logarithm."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    units = [[[x / math.hypot(*vector) for x in vector] for vector in word] for word in embeddings.tolist()]
    prototypes = [[sum(column) for column in zip(*word[:-1], strict=True)] for word in units]
    total = 0.0
    for right, word in enumerate(units):
        scores = [scale * cosine(word[-1], other) + bias for other in [*prototypes, *background.tolist()]]
        total += -scores[right] + math.log(sum(math.exp(score) for score in scores))
    return total / len(units)


@pytest.mark.parametrize("utterances", [2, 3, 4])
def test_the_loss_is_that_of_a_plain_loop_over_the_equations(embeddings, utterances):
    few = embeddings[:, :utterances]
    assert loss_of(few).item() == pytest.approx(plain(few), rel=1e-5)
    assert loss_of(few, scale=3.0, bias=1.0).item() == pytest.approx(plain(few, 3.0, 1.0), rel=1e-5)


def test_background_is_a_column_that_is_never_the_target(embeddings, background):
    loss = loss_of(embeddings, background)
    assert loss.item() == pytest.approx(plain_with_background(embeddings, background), rel=1e-5)
    assert loss.item() > loss_of(embeddings).item()


def test_with_each_utterance_a_query_it_is_the_mean_over_rotations(embeddings):
    turned = [loss_of(embeddings.roll(turn, dims=1)).item() for turn in range(4)]
    assert loss_of(embeddings, queries="each").item() == pytest.approx(sum(turned) / 4, rel=1e-5)


def test_with_each_utterance_a_query_background_is_a_negative_of_every_query(embeddings, background):
    turned = [loss_of(embeddings.roll(turn, dims=1), background).item() for turn in range(4)]
    assert loss_of(embeddings, background, queries="each").item() == pytest.approx(sum(turned) / 4, rel=1e-5)


def test_the_length_of_embeddings_does_not_matter(embeddings):
    longer = embeddings * torch.tensor([0.1, 2.0, 30.0, 1.0])[None, :, None]
    assert loss_of(longer).item() == pytest.approx(loss_of(embeddings).item(), rel=1e-5)


def test_distant_words_have_loss_0_and_equal_words_the_logarithm_of_their_number():
    apart = torch.eye(6)[:, None].expand(6, 3, 6)
    assert loss_of(apart, scale=50.0).item() < 1e-6
    assert loss_of(torch.ones(6, 3, 4)).item() == pytest.approx(math.log(6))


def test_the_gradient_reaches_every_embedding_and_the_scale(embeddings):
    objective = built()
    embeddings.requires_grad_()
    objective(embeddings, torch.arange(5)).backward()
    assert (embeddings.grad.norm(dim=-1) > 0).all()
    assert objective.log_scale.grad != 0
