import math

import pytest
import torch

from earmark.training.nn.losses.logistic_margin import LogisticMargin, LogisticMarginSettings
from earmark.training.nn.losses.softmax import Softmax, SoftmaxSettings
from earmark.training.run.optimizer import OptimizerSettings, build_optimizer


def plain(embeddings, labels, objective, margin):
    """The released network's layers, one utterance after another."""
    scale, added = objective.scale.item(), objective.bias.item()
    costs = []
    for word, label in zip(embeddings.tolist(), labels.tolist(), strict=True):
        for one in word:
            scores = []
            for number, (row, bias) in enumerate(
                zip(objective.head.weight.tolist(), objective.head.bias.tolist(), strict=True)
            ):
                score = sum(x * w for x, w in zip(one, row, strict=True)) / math.hypot(*one) + bias
                scores.append(scale * score + added - margin * (number == label))
            top = max(scores)
            costs.append(top + math.log(sum(math.exp(score - top) for score in scores)) - scores[label])
    return sum(costs) / len(costs)


@pytest.mark.parametrize(("margin", "scale"), [(30.0, 50.0), (25.0, 50.0), (0.0, 1.0)])
def test_the_loss_is_that_of_a_plain_loop_over_the_released_network(embeddings, labels, margin, scale):
    objective = LogisticMargin(LogisticMarginSettings(margin=margin, scale=scale), classes=9, dimension=7)
    with torch.no_grad():
        objective.head.bias.copy_(torch.linspace(-1, 1, 9))
        objective.bias.fill_(0.7)
    expected = plain(embeddings, labels, objective, margin)
    assert objective(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


def test_lengths_of_class_vectors_matter_and_lengths_of_embeddings_do_not(embeddings, labels):
    objective = LogisticMargin(LogisticMarginSettings(), classes=9, dimension=7)
    loss = objective(embeddings, labels)
    torch.testing.assert_close(objective(10 * embeddings, labels), loss)
    with torch.no_grad():
        objective.head.weight *= 2
    assert objective(embeddings, labels).item() != pytest.approx(loss.item(), rel=0.01)


def test_logits_have_neither_scale_nor_margin(embeddings):
    objective = LogisticMargin(LogisticMarginSettings(), classes=9, dimension=7)
    samples = embeddings.flatten(0, 1)
    unit = torch.nn.functional.normalize(samples, dim=1)
    torch.testing.assert_close(objective.logits(samples), unit @ objective.head.weight.T + objective.head.bias)
    with torch.no_grad():
        order = (objective.scale * objective.logits(samples) + objective.bias).argsort(1)
    assert torch.equal(order, objective.logits(samples).argsort(1))


def test_scale_and_bias_are_learned_and_do_not_decay(embeddings, labels):
    objective = LogisticMargin(LogisticMarginSettings(), classes=9, dimension=7)
    optimizer = build_optimizer(OptimizerSettings(kind="sgd", weight_decay=0.1), torch.nn.Linear(2, 2), objective)
    decaying, others = optimizer.param_groups
    assert any(one is objective.head.weight for one in decaying["params"])
    for name in ("scale", "bias"):
        assert any(one is getattr(objective, name) for one in others["params"])
    objective(embeddings, labels).backward()
    assert objective.scale.grad.item() != 0


def test_a_run_can_start_from_the_class_vectors_of_a_softmax_run():
    softmax = Softmax(SoftmaxSettings(), classes=9, dimension=7)
    objective = LogisticMargin(LogisticMarginSettings(), classes=9, dimension=7)
    missing, unexpected = objective.load_state_dict(softmax.state_dict(), strict=False)
    assert (sorted(missing), unexpected) == (["bias", "scale"], [])
