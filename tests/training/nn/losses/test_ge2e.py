import math

import pytest
import torch

from earmark.training.nn.losses.ge2e import GE2E, GE2ESettings


def loss_of(embeddings, labels, background=None, **settings):
    return GE2E(GE2ESettings(**settings), classes=0, dimension=0)(embeddings, labels, background)


def plain(embeddings, background=(), *, variant="softmax", scale=10.0, bias=-5.0):
    """Wan et al. 2018, equations 6 to 9, one utterance after another."""

    def cosine(one, other):
        return sum(x * y for x, y in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)

    def centroid(utterances):
        return [sum(column) / len(utterances) for column in zip(*utterances, strict=True)]

    def sigmoid(score):
        return 1 / (1 + math.exp(-score))

    units = [[[x / math.hypot(*one) for x in one] for one in word] for word in embeddings.tolist()]
    costs = []
    for j, word in enumerate(units):
        for i, one in enumerate(word):
            centroids = [centroid(word[:i] + word[i + 1 :] if k == j else other) for k, other in enumerate(units)]
            scores = [scale * cosine(one, place) + bias for place in [*centroids, *background]]
            if variant == "softmax":
                costs.append(math.log(sum(math.exp(score) for score in scores)) - scores[j])
            else:
                wrong = max(sigmoid(score) for k, score in enumerate(scores) if k != j)
                costs.append(1 - sigmoid(scores[j]) + wrong)
    return sum(costs) / len(costs)


variants = pytest.mark.parametrize("variant", ["softmax", "contrast"])


@variants
@pytest.mark.parametrize("utterances", [2, 3, 4])
def test_the_loss_is_that_of_a_plain_loop_over_the_equations(embeddings, labels, variant, utterances):
    few = embeddings[:, :utterances]
    for constants in ({}, {"scale": 3.0, "bias": 1.0}):
        expected = plain(few, variant=variant, **constants)
        assert loss_of(few, labels, variant=variant, **constants).item() == pytest.approx(expected, rel=1e-5)


@variants
def test_background_is_a_column_that_is_never_the_target(embeddings, labels, background, variant):
    found = loss_of(embeddings, labels, background, variant=variant).item()
    assert found == pytest.approx(plain(embeddings, background.tolist(), variant=variant), rel=1e-5)
    assert found > loss_of(embeddings, labels, variant=variant).item()


@variants
def test_the_order_of_utterances_does_not_matter(embeddings, labels, variant):
    turned = loss_of(embeddings.roll(1, dims=1), labels, variant=variant)
    torch.testing.assert_close(turned, loss_of(embeddings, labels, variant=variant))


@variants
def test_the_length_of_embeddings_does_not_matter(embeddings, labels, variant):
    longer = embeddings * torch.tensor([0.1, 2.0, 30.0, 1.0])[None, :, None]
    torch.testing.assert_close(loss_of(longer, labels, variant=variant), loss_of(embeddings, labels, variant=variant))


def test_in_contrast_the_bias_is_learned_too(embeddings, labels):
    objective = GE2E(GE2ESettings(variant="contrast"), classes=0, dimension=0)
    objective(embeddings, labels).backward()
    assert objective.bias.grad != 0
    assert objective.log_scale.grad != 0
