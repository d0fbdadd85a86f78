import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.nn.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings
from earmark.training.nn.losses.softmax import Softmax, SoftmaxSettings
from earmark.training.nn.losses.softmax_angular_prototypical import (
    SoftmaxAngularPrototypical,
    SoftmaxAngularPrototypicalSettings,
)


def test_the_loss_is_the_sum_of_both_each_with_its_settings(embeddings, labels, background):
    settings = SoftmaxAngularPrototypicalSettings(angular_prototypical={"scale": 4, "queries": "each"})
    objective = SoftmaxAngularPrototypical(settings, classes=9, dimension=7)
    softmax = Softmax(SoftmaxSettings(), classes=9, dimension=7)
    softmax.load_state_dict(objective.softmax.state_dict())
    prototypical = AngularPrototypical(AngularPrototypicalSettings(scale=4, queries="each"), classes=9, dimension=7)
    expected = softmax(embeddings, labels) + prototypical(embeddings, labels, background)
    torch.testing.assert_close(objective(embeddings, labels, background), expected)
    torch.testing.assert_close(objective.logits(embeddings[0]), softmax.logits(embeddings[0]))


def test_the_softmax_part_may_have_no_head():
    settings = SoftmaxAngularPrototypicalSettings(softmax={"head": False})
    assert len(list(SoftmaxAngularPrototypical(settings, classes=7, dimension=7).parameters())) == 2
    with pytest.raises(InputError, match=r"loss\.head"):
        SoftmaxAngularPrototypical(settings, classes=9, dimension=7)
