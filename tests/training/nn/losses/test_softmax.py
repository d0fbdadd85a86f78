import math

import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.nn.losses.softmax import Softmax, SoftmaxSettings


def plain(scores, labels):
    """Mean of -log softmax at the true class, one utterance after another; ``scores[j][i][k]``."""
    costs = []
    for row, label in zip(scores, labels.tolist(), strict=True):
        costs += [math.log(sum(math.exp(score) for score in utterance)) - utterance[label] for utterance in row]
    return sum(costs) / len(costs)


def test_the_loss_is_that_of_a_plain_loop(embeddings, labels):
    objective = Softmax(SoftmaxSettings(), classes=9, dimension=7)
    weight, bias = objective.head.weight.tolist(), objective.head.bias.tolist()
    scores = [
        [
            [sum(w * x for w, x in zip(row, one, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
            for one in word
        ]
        for word in embeddings.tolist()
    ]
    assert objective(embeddings, labels).item() == pytest.approx(plain(scores, labels), rel=1e-5)


def test_without_a_head_the_columns_are_the_scores(embeddings):
    labels = torch.tensor([4, 0, 2, 6, 1])
    objective = Softmax(SoftmaxSettings(head=False), classes=7, dimension=7)
    assert not list(objective.parameters())
    assert objective(embeddings, labels).item() == pytest.approx(plain(embeddings.tolist(), labels), rel=1e-5)
    assert torch.equal(objective.logits(embeddings[0]), embeddings[0])


def test_columns_beyond_the_classes_are_never_the_target(embeddings):
    labels = torch.tensor([4, 0, 2, 3, 1])
    objective = Softmax(SoftmaxSettings(head=False), classes=5, dimension=7)
    assert objective(embeddings, labels).item() == pytest.approx(plain(embeddings.tolist(), labels), rel=1e-5)
    assert torch.equal(objective.logits(embeddings[0]), embeddings[0, :, :5])


def test_without_a_head_too_few_columns_are_refused():
    with pytest.raises(InputError, match=r"^loss\.head"):
        Softmax(SoftmaxSettings(head=False), classes=9, dimension=7)
