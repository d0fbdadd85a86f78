import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.nn.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.softmax import SoftmaxSettings


def test_samples_are_the_utterances_in_order_with_their_labels(embeddings, labels):
    batch = check_input(SoftmaxSettings(), embeddings, labels, None)
    for row, label in enumerate(labels):
        for utterance in range(4):
            assert torch.equal(batch.samples[row * 4 + utterance], embeddings[row, utterance])
            assert batch.sample_labels[row * 4 + utterance] == label


def test_no_background_is_background_of_no_clips(embeddings, labels):
    for nothing in (None, torch.zeros(0, 7)):
        assert check_input(SoftmaxSettings(), embeddings, labels, nothing).background.shape == (0, 7)


def test_half_precision_becomes_float32_and_double_stays(embeddings, labels, background):
    for given, taken in [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float64,) * 2]:
        batch = check_input(AngularPrototypicalSettings(), embeddings.to(given), labels, background.to(given))
        assert batch.embeddings.dtype == batch.background.dtype == taken


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"embeddings": torch.zeros(5, 7)}, "embeddings"),
        ({"embeddings": torch.zeros(0, 4, 7)}, "embeddings"),
        ({"embeddings": torch.zeros(5, 1, 7)}, "utterances"),
        ({"dimension": 8}, "columns"),
        ({"labels": torch.arange(4)}, "labels"),
        ({"labels": torch.arange(5)[:, None]}, "labels"),
        ({"labels": torch.arange(5.0)}, "labels"),
        ({"classes": 8}, "labels"),
        ({"labels": torch.tensor([0, 1, -1, 2, 3]), "classes": 9}, "labels"),
        ({"background": torch.zeros(3, 6)}, "background"),
        ({"background": torch.zeros(7)}, "background"),
        ({"background": torch.zeros(0, 6)}, "background"),
    ],
)
def test_a_wrong_batch_is_an_error_that_names_the_loss_and_the_argument(embeddings, labels, change, what):
    given = {"embeddings": embeddings, "labels": labels, "background": None} | change
    with pytest.raises(InputError, match=rf"^loss 'angular_prototypical': .*{what}"):
        check_input(AngularPrototypicalSettings(), **given)


def test_background_is_an_error_for_a_loss_that_does_not_take_it(embeddings, labels, background):
    with pytest.raises(InputError, match=r"softmax.*background"):
        check_input(SoftmaxSettings(), embeddings, labels, background)
