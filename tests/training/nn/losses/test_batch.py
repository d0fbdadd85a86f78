import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.nn.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.softmax import SoftmaxSettings


def test_samples_stand_one_after_another_each_with_its_label(embeddings, labels):
    batch = checked(SoftmaxSettings(), embeddings, labels, None)
    for row, label in enumerate(labels):
        for utterance in range(4):
            assert torch.equal(batch.samples[row * 4 + utterance], embeddings[row, utterance])
            assert batch.sample_labels[row * 4 + utterance] == label


def test_no_background_is_background_of_no_clips(embeddings, labels):
    for nothing in (None, torch.zeros(0, 7)):
        assert checked(SoftmaxSettings(), embeddings, labels, nothing).background.shape == (0, 7)


def test_half_precision_is_raised_and_double_stays(embeddings, labels, background):
    for given, taken in [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float64,) * 2]:
        batch = checked(AngularPrototypicalSettings(), embeddings.to(given), labels, background.to(given))
        assert batch.embeddings.dtype == batch.background.dtype == taken


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embeddings": torch.zeros(5, 7)}, r"shape \(5, 7\); give \(classes, utterances, dimension\)"),
        ({"embeddings": torch.zeros(0, 4, 7)}, r"shape \(0, 4, 7\)"),
        ({"embeddings": torch.zeros(5, 1, 7)}, "1 utterances of each class; draw at least 2"),
        ({"dimension": 8}, "7 columns; it was built for 8"),
        ({"labels": torch.arange(4)}, r"shape \(4,\); give int64 of shape \(5,\)"),
        ({"labels": torch.arange(5)[:, None]}, r"shape \(5, 1\)"),
        ({"labels": torch.arange(5.0)}, "labels are float32"),
        ({"classes": 8}, "labels go from 0 to 8; it was built for classes 0 to 7"),
        ({"labels": torch.tensor([0, 1, -1, 2, 3]), "classes": 9}, "labels go from -1 to 3"),
        ({"background": torch.zeros(3, 6)}, r"background has shape \(3, 6\); give \(clips, 7\)"),
        ({"background": torch.zeros(7)}, r"background has shape \(7,\)"),
        ({"background": torch.zeros(0, 6)}, r"background has shape \(0, 6\)"),
    ],
)
def test_what_cannot_be_a_batch_is_refused_with_the_cure(embeddings, labels, change, words):
    given = {"embeddings": embeddings, "labels": labels, "background": None} | change
    with pytest.raises(InputError, match=words) as error:
        checked(AngularPrototypicalSettings(), **given)
    assert str(error.value).startswith("loss 'angular_prototypical': ")
    assert "\n" not in str(error.value)


def test_background_is_refused_where_the_loss_has_no_place_for_it(embeddings, labels, background):
    with pytest.raises(InputError, match="loss 'softmax': takes no background"):
        checked(SoftmaxSettings(), embeddings, labels, background)
