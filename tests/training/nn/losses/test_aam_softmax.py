import math

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss

from earmark.training.nn.losses.aam_softmax import AAMSoftmax, AAMSoftmaxSettings


def plain(embeddings, labels, weight, margin, scale, easy):
    """Deng et al. 2019, equation 3, by angles, one utterance after another."""
    costs = []
    for word, label in zip(embeddings.tolist(), labels.tolist(), strict=True):
        for one in word:
            cosines = [
                sum(x * w for x, w in zip(one, vector, strict=True)) / math.hypot(*one) / math.hypot(*vector)
                for vector in weight.tolist()
            ]
            angle = math.acos(cosines[label])
            if (easy and angle < math.pi / 2) or (not easy and angle < math.pi - margin):
                cosines[label] = math.cos(angle + margin)
            elif not easy:
                cosines[label] -= margin * math.sin(margin)
            costs.append(math.log(sum(math.exp(scale * cosine) for cosine in cosines)) - scale * cosines[label])
    return sum(costs) / len(costs)


@pytest.mark.parametrize("easy", [False, True])
@pytest.mark.parametrize(("margin", "scale"), [(0.2, 30.0), (0.5, 64.0), (1.2, 5.0), (0.0, 10.0)])
def test_the_loss_is_that_of_a_plain_loop_over_the_equation(embeddings, labels, margin, scale, easy):
    settings = AAMSoftmaxSettings(margin=margin, scale=scale, easy_margin=easy)
    objective = AAMSoftmax(settings, classes=9, dimension=7)
    expected = plain(embeddings, labels, objective.weight, margin, scale, easy)
    assert objective(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("margin", [0.2, 1.2])
def test_the_loss_is_that_of_pytorch_metric_learning(embeddings, labels, margin):
    objective = AAMSoftmax(AAMSoftmaxSettings(margin=margin, scale=20), classes=9, dimension=7)
    # The library takes the margin in degrees.
    oracle = ArcFaceLoss(num_classes=9, embedding_size=7, margin=math.degrees(margin), scale=20)
    oracle.W.data = objective.weight.detach().T.clone()
    samples = embeddings.flatten(0, 1), labels.repeat_interleave(4)
    torch.testing.assert_close(objective(embeddings, labels), oracle(*samples))
    torch.testing.assert_close(objective.logits(samples[0]), oracle.get_logits(samples[0]))


@pytest.mark.parametrize("margin", [0.1, 0.5, 1.5])
def test_a_wider_angle_never_has_a_smaller_loss(margin):
    angles = torch.linspace(0, math.pi, 201)
    objective = AAMSoftmax(AAMSoftmaxSettings(margin=margin), classes=2, dimension=3)
    objective.weight.data = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    around = torch.stack([angles.cos(), angles.sin(), torch.zeros(201)], dim=1)
    costs = torch.stack([objective(one[None, None], torch.tensor([0])) for one in around])
    assert (costs.diff() > -1e-5).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_embedding_along_its_class_vector_has_a_finite_gradient(sign):
    objective = AAMSoftmax(AAMSoftmaxSettings(), classes=3, dimension=7)
    embeddings = (sign * objective.weight.detach()[:, None]).requires_grad_()
    objective(embeddings, torch.arange(3)).backward()
    assert torch.isfinite(embeddings.grad).all()
    assert embeddings.grad.abs().max() < 100
