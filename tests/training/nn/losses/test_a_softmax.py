import math

import pytest
import torch
from pytorch_metric_learning.losses import SphereFaceLoss

from earmark.training.nn.losses.a_softmax import ASoftmax, ASoftmaxSettings, psi
from earmark.training.run.checkpoint import restore, state_of


def plain(embeddings, labels, weight, margin, annealing):
    """Liu et al. 2017, equation 6, one utterance after another, by angles; λ is the weight of cos θ."""
    costs = []
    for word, label in zip(embeddings.tolist(), labels.tolist(), strict=True):
        for one in word:
            length = math.hypot(*one)
            scores = []
            for number, vector in enumerate(weight.tolist()):
                cosine = sum(x * w for x, w in zip(one, vector, strict=True)) / length / math.hypot(*vector)
                if number == label:
                    cosine = (annealing * cosine + plain_psi(math.acos(cosine), margin)) / (1 + annealing)
                scores.append(length * cosine)
            top = max(scores)
            costs.append(top + math.log(sum(math.exp(score - top) for score in scores)) - scores[label])
    return sum(costs) / len(costs)


def plain_psi(angle, margin):
    part = min(math.floor(margin * angle / math.pi), margin - 1)
    return (-1) ** part * math.cos(margin * angle) - 2 * part


def built(**settings):
    return ASoftmax(ASoftmaxSettings(**settings), classes=9, dimension=7)


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
@pytest.mark.parametrize("annealing", [0.0, 5.0])
def test_the_loss_is_that_of_a_plain_loop_over_the_equation(embeddings, labels, margin, annealing):
    objective = built(margin=margin, base=annealing, lambda_min=annealing)
    expected = plain(embeddings, labels, objective.weight, margin, annealing)
    assert objective(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


# The library calls NumPy functions on tensors, which warns.
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("margin", [2, 3, 4])
def test_without_annealing_it_is_the_loss_of_pytorch_metric_learning(embeddings, labels, margin):
    objective = built(margin=margin, base=0, lambda_min=0)
    oracle = SphereFaceLoss(num_classes=9, embedding_size=7, margin=margin, scale=1)
    oracle.W.data = objective.weight.detach().T.clone()
    samples = embeddings.flatten(0, 1), labels.repeat_interleave(4)
    torch.testing.assert_close(objective(embeddings, labels), oracle(*samples))
    torch.testing.assert_close(objective.logits(samples[0]), oracle.get_logits(samples[0]))


def test_margin_1_is_softmax_over_unit_class_vectors_for_any_annealing(embeddings, labels):
    objective = built(margin=1)
    unit = torch.nn.functional.normalize(objective.weight, dim=1)
    samples = embeddings.flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(samples @ unit.T, labels.repeat_interleave(4))
    for _ in range(3):
        torch.testing.assert_close(objective(embeddings, labels), expected)


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_psi_decreases_with_a_finite_slope_everywhere(margin):
    angles = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    cosine = angles.cos().requires_grad_()
    values = psi(cosine, margin)
    values.sum().backward()
    torch.testing.assert_close(values.tolist(), [plain_psi(angle, margin) for angle in angles.tolist()])
    assert (values.diff() < 0).all()
    assert values[[0, -1]].tolist() == pytest.approx([1, 1 - 2 * margin])
    # d cos(m θ) / d cos θ = m sin(m θ) / sin θ, which is ± m² at both ends.
    inner = slice(1, -1)
    slopes = (margin * (margin * angles).sin() / angles.sin()).abs()
    torch.testing.assert_close(cosine.grad[inner], slopes[inner])
    assert cosine.grad[[0, -1]].tolist() == pytest.approx([margin**2] * 2)


def test_lambda_decreases_with_each_training_step_to_its_minimum(embeddings, labels):
    objective = built(margin=3)
    for step in range(1, 5):
        expected = plain(embeddings, labels, objective.weight, 3, 1000 / (1 + 0.12 * step))
        assert objective(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)
    objective.steps.fill_(10**6)
    expected = plain(embeddings, labels, objective.weight, 3, 5)
    assert objective(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


def test_only_training_counts_steps(embeddings, labels):
    objective = built()
    objective.eval()(embeddings, labels)
    objective.logits(embeddings.flatten(0, 1))
    assert objective.steps.item() == 0
    objective.train()(embeddings, labels)
    assert objective.steps.item() == 1


def test_a_resumed_run_continues_with_its_lambda(embeddings, labels):
    objective, again, model = built(), built(), torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.1)
    for _ in range(50):
        objective(embeddings, labels)
    restore(state_of(model, objective, optimizer), model, again)
    assert again.steps.item() == 50
    assert torch.equal(again(embeddings, labels), objective(embeddings, labels))
