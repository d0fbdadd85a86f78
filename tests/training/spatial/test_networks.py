import numpy as np
import pytest
import torch

from earmark.core.errors import InputError
from earmark.training.nn.encoders.dense import DenseSettings
from earmark.training.spatial.autoencoder import Autoencoder, AutoencoderSettings, train_autoencoder
from earmark.training.spatial.classifier import ClassifierSettings, build_classifier, classify
from earmark.training.spatial.conv1d import Conv1d, Conv1dSettings, classify_mfcc
from earmark.training.spatial.fit import FitSettings

SHORT = FitSettings(epochs=2)


def count(module):
    """Numbers that Keras counts: parameters, and means and variances of normalizations."""
    state = module.state_dict()
    return sum(tensor.numel() for name, tensor in state.items() if not name.endswith("num_batches_tracked"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_auto_encoder_has_the_published_sizes():
    network = Autoencoder(DenseSettings(), 1)
    assert [count(part) for part in (network.encoder, network.decoder, network.head)] == [250_875, 216_640, 4_101]
    assert count(network) == 471_616


def test_the_plain_auto_encoder_lacks_the_head_alone():
    network = Autoencoder(DenseSettings(), 0)
    assert count(network) == 471_616 - 4_101
    assert network(torch.randn(3, 640))[2] is None


@pytest.mark.parametrize(("classes", "size"), [(30, 5_802), (35, 6_415)])
def test_the_classifier_has_the_published_sizes(classes, size):
    assert count(build_classifier(classes, 75)) == size


def test_the_convolution_has_the_published_size():
    network = Conv1d(30)
    assert count(network) == 75_486
    assert network(torch.randn(2, 640)).shape == (2, 30)


def test_the_convolution_slides_along_coefficients():
    network = Conv1d(3).eval()
    torch.nn.init.constant_(network.convolution.weight, 0.1)
    rows = torch.randn(1, 640, requires_grad=True)
    mfcc = rows.unflatten(1, (20, 32))
    network.convolution(mfcc.mT)[0, 0, 0].backward()
    assert rows.grad is not None
    # Coefficients 15 before the first to 16 after it, of all frames at once.
    seen = rows.grad.unflatten(1, (20, 32))[0].bool()
    assert seen.all(dim=1).tolist() == [True] * 17 + [False] * 3


def test_a_head_of_no_weight_changes_nothing():
    inputs, places = torch.randn(40, 640, generator=generator()), torch.rand(70, 2, generator=generator())
    settings = AutoencoderSettings(position_weight=0.0, fit=SHORT)
    plain, spatial = (train_autoencoder(inputs, given, settings, generator(7)) for given in (None, places))
    assert torch.equal(plain.embed(inputs), spatial.embed(inputs))
    assert plain.history == spatial.history


def test_the_position_is_learned_when_it_weighs():
    inputs = torch.randn(200, 640, generator=generator())
    places = inputs[:, :1] * 0.3
    heavy = AutoencoderSettings(position_weight=1e4, fit=FitSettings(epochs=12, lr=5e-3))
    losses = [
        train_autoencoder(
            inputs, given, heavy.model_copy(update={"position_weight": weight}), generator(1)
        ).history.loss[-1]
        for given, weight in ((places, 1e4), (places[torch.randperm(200, generator=generator())], 1e4))
    ]
    assert losses[0] < 0.9 * losses[1]


def test_standardized_inputs_need_no_care_afterward():
    scale, offset = torch.rand(640, generator=generator()) * 90 + 1, torch.randn(640, generator=generator()) * 100
    inputs = torch.randn(80, 640, generator=generator())
    settings = AutoencoderSettings(standardize=True, fit=SHORT)
    places = torch.rand(80, 1, generator=generator())
    first = train_autoencoder(inputs, places, settings, generator(3))
    other = train_autoencoder(inputs * scale + offset, 5 * places + 2, settings, generator(3))
    assert torch.allclose(first.embed(inputs), other.embed(inputs * scale + offset), atol=1e-2)
    assert first.history.loss == pytest.approx(other.history.loss, rel=1e-4)


def test_the_auto_encoder_learns_what_repeats():
    torch.manual_seed(0)
    inputs = torch.randn(300, 4) @ torch.randn(4, 640)
    history = train_autoencoder(
        inputs, None, AutoencoderSettings(fit=FitSettings(epochs=15, lr=5e-3)), generator()
    ).history
    assert history.loss[-1] < 0.3 * history.loss[0]


@pytest.fixture(scope="module")
def words():
    """Embeddings of three words that lie apart, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=240)
    return (rng.normal(size=(3, 10))[labels] * 2 + rng.normal(size=(240, 10))).astype(np.float32), labels


def test_few_labels_teach_words_that_lie_apart(words):
    vectors, labels = words
    settings = ClassifierSettings(epochs=40, lr=1e-2)
    logits = classify(vectors[:160], labels[:160], vectors[160:], classes=3, seed=1, settings=settings)
    assert logits.shape == (80, 3)
    assert np.mean(logits.argmax(axis=1) == labels[160:]) > 0.85


def test_a_seed_decides_what_is_learned(words):
    vectors, labels = words
    settings = ClassifierSettings(epochs=2)
    first, again, other = (classify(vectors, labels, vectors, classes=3, seed=s, settings=settings) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_convolution_learns_from_mfcc():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=120)
    mfcc = rng.normal(size=(120, 640)).astype(np.float32)
    mfcc[:, :64] += 6 * labels[:, None]
    settings = Conv1dSettings(epochs=15, patience=15, lr=1e-2)
    logits = classify_mfcc(mfcc[:80], labels[:80], mfcc[80:], classes=2, seed=0, settings=settings)
    assert np.mean(logits.argmax(axis=1) == labels[80:]) > 0.9


def test_labels_that_do_not_fit_the_embeddings_are_refused():
    with pytest.raises(InputError, match=r"^train: "):
        classify(np.zeros((4, 3)), np.zeros(3, int), np.zeros((2, 3)), classes=2)
