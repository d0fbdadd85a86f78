import math

import pytest
import torch
from pytorch_metric_learning.losses import CosFaceLoss, NormalizedSoftmaxLoss

from earmark.training.nn.losses.am_softmax import AMSoftmax, AMSoftmaxSettings


def plain(embeddings, labels, weight, margin, scale):
    """Wang et al. 2018, equation 6, one utterance after another."""
    costs = []
    for word, label in zip(embeddings.tolist(), labels.tolist(), strict=True):
        for one in word:
            scores = []
            for number, vector in enumerate(weight.tolist()):
                cosine = sum(x * w for x, w in zip(one, vector, strict=True)) / math.hypot(*one) / math.hypot(*vector)
                scores.append(scale * (cosine - margin * (number == label)))
            costs.append(math.log(sum(math.exp(score) for score in scores)) - scores[label])
    return sum(costs) / len(costs)


@pytest.mark.parametrize(("margin", "scale"), [(0.3, 15.0), (0.0, 1.0), (0.35, 64.0)])
def test_the_loss_is_that_of_a_plain_loop_over_the_equation(embeddings, labels, margin, scale):
    objective = AMSoftmax(AMSoftmaxSettings(margin=margin, scale=scale), classes=9, dimension=7)
    expected = plain(embeddings, labels, objective.weight, margin, scale)
    assert objective(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_that_of_pytorch_metric_learning(embeddings, labels):
    objective = AMSoftmax(AMSoftmaxSettings(), classes=9, dimension=7)
    oracle = CosFaceLoss(num_classes=9, embedding_size=7, margin=0.3, scale=15)
    oracle.W.data = objective.weight.detach().T.clone()
    samples = embeddings.flatten(0, 1), labels.repeat_interleave(4)
    torch.testing.assert_close(objective(embeddings, labels), oracle(*samples))
    torch.testing.assert_close(objective.logits(samples[0]), oracle.get_logits(samples[0]))


def test_without_margin_it_is_softmax_over_scaled_cosines(embeddings, labels):
    objective = AMSoftmax(AMSoftmaxSettings(margin=0, scale=20), classes=9, dimension=7)
    oracle = NormalizedSoftmaxLoss(num_classes=9, embedding_size=7, temperature=1 / 20)
    oracle.W.data = objective.weight.detach().T.clone()
    expected = oracle(embeddings.flatten(0, 1), labels.repeat_interleave(4))
    torch.testing.assert_close(objective(embeddings, labels), expected)


def test_lengths_do_not_matter(embeddings, labels):
    objective = AMSoftmax(AMSoftmaxSettings(), classes=9, dimension=7)
    loss = objective(embeddings, labels)
    objective.weight.data *= torch.linspace(0.1, 10, 9)[:, None]
    longer = embeddings * torch.tensor([0.1, 2.0, 30.0, 1.0])[None, :, None]
    torch.testing.assert_close(objective(longer, labels), loss)


def test_class_vectors_are_initialized_as_xavier():
    torch.manual_seed(0)
    weight = AMSoftmax(AMSoftmaxSettings(), classes=400, dimension=600).weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (400 + 600)), rel=0.01)


def test_with_a_learned_scale_the_margin_is_constant(embeddings, labels):
    constant = AMSoftmax(AMSoftmaxSettings(margin=0.5, scale=100), classes=9, dimension=7)
    learned = AMSoftmax(AMSoftmaxSettings(margin=0.5, scale=100, learned_scale=True), classes=9, dimension=7)
    assert [name for name, _ in constant.named_parameters()] == ["weight"]
    learned.load_state_dict(constant.state_dict(), strict=False)
    torch.testing.assert_close(learned(embeddings, labels), constant(embeddings, labels))
    with torch.no_grad():
        learned.scale.fill_(60.0)
    # 60 · (cos θ - 50 / 60)
    expected = plain(embeddings, labels, learned.weight, 50 / 60, 60.0)
    assert learned(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)
    learned(embeddings, labels).backward()
    assert learned.scale.grad.item() != 0
