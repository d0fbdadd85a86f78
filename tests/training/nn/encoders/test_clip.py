import pytest
import torch
from pydantic import ValidationError

from earmark.training.nn.encoders.bc_resnet import BCResNetSettings
from earmark.training.nn.encoders.clip import ClipEncoder
from earmark.training.nn.encoders.convmixer import ConvMixerSettings
from earmark.training.nn.encoders.microbatches import in_microbatches
from earmark.training.nn.encoders.res import ResSettings
from earmark.training.nn.encoders.resnet_se import ResNetSESettings
from earmark.training.nn.encoders.sphere import SphereSettings
from earmark.training.nn.frontends import LogMelSettings
from earmark.training.nn.frontends.masks import MaskSettings

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
NETWORKS = [
    ResSettings(depth=8, maps=6, dimension=16),
    ResSettings(depth=15, maps=4, dimension=16),
    ResSettings(depth=26, maps=4, dimension=16),
    ConvMixerSettings(dimension=16),
    BCResNetSettings(dimension=16),
    SphereSettings(dimension=16, widths=(4, 6, 8, 10), length_s=1.0),
    ResNetSESettings(dimension=16, widths=(8, 8, 16, 16), blocks=(1, 2, 1, 1), length_s=1.0),
    ResNetSESettings(dimension=16, widths=(8, 8, 16), blocks=(1, 1, 1), pooling="asp", length_s=1.0),
]
networks = pytest.mark.parametrize("settings", NETWORKS, ids=lambda settings: f"{settings.kind}-{settings.dimension}")


def encoder(settings, seed=0):
    torch.manual_seed(seed)
    return ClipEncoder(settings)


@pytest.fixture(scope="module")
def waves(say):
    words = ["rise", "fall", "bow", "rise", "fall"]
    spoken = [torch.tensor(say(word, seed=seed)[:16_000]) for seed, word in enumerate(words)]
    return torch.stack([*spoken, torch.zeros(16_000)])


@networks
@pytest.mark.parametrize("device", DEVICES)
def test_waves_and_silence_have_finite_embeddings(settings, waves, device):
    model = encoder(settings).to(device)
    embeddings = model(waves.to(device))
    assert embeddings.shape == (6, 16)
    assert embeddings.device.type == device
    assert torch.isfinite(embeddings).all()


@networks
def test_in_evaluation_an_embedding_does_not_depend_on_the_batch(settings, waves):
    model = encoder(settings)
    model(waves)
    model.eval()
    together = model(waves)
    for count in (1, 3):
        assert torch.allclose(model(waves[:count]), together[:count], atol=1e-4, rtol=1e-4)


@networks
def test_the_gradient_reaches_every_parameter(settings, waves):
    model = encoder(settings)
    model(waves).square().mean().backward()
    learned = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert [name for name, parameter in learned.items() if not parameter.grad.abs().sum() > 0] == []


@networks
def test_the_weights_depend_on_the_seed(settings):
    first, again, other = (encoder(settings, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@networks
def test_a_few_steps_reduce_the_loss(settings, waves):
    model, labels = encoder(settings), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(model(waves[:4]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@networks
def test_mixed_precision_gives_nearly_the_same(settings, waves):
    model = encoder(settings)
    model(waves)
    model.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(waves).float()
    exact = model(waves)
    assert (mixed - exact).norm() < 0.1 * exact.norm()


@networks
def test_channels_last_memory_changes_no_number(settings, waves):
    model = encoder(settings).eval()
    expected = model(waves)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(model(waves), expected, atol=1e-4, rtol=1e-4)


def test_masks_are_drawn_in_training_only(waves):
    mask = MaskSettings(time_masks=2, time_frames=25, frequency_masks=2, frequency_bands=7)
    model = encoder(ResSettings(depth=8, maps=6, dimension=16, mask=mask))
    assert not torch.equal(model(waves), model(waves))
    model.eval()
    assert torch.equal(model(waves), model(waves))


def test_other_features_and_lengths_fit_all_networks(waves):
    frontend = LogMelSettings(n_mels=80, n_fft=512, hop_s=0.015)
    for kind in (ResSettings, ConvMixerSettings, BCResNetSettings, SphereSettings, ResNetSESettings):
        settings = kind(frontend=frontend, length_s=0.6, dimension=8)
        assert settings.shape == (41, 80)
        assert encoder(settings)(waves[:2, :9600]).shape == (2, 8)


def test_clips_too_short_for_a_frame_are_refused():
    with pytest.raises(ValidationError, match="length_s"):
        ResSettings(length_s=0.01)


@pytest.mark.parametrize("most", [1, 4, 100])
def test_microbatches_give_the_values_and_gradients_of_the_whole_batch(most):
    torch.manual_seed(0)
    layers, clips = torch.nn.Conv1d(2, 3, 3), torch.randn(10, 2, 8)
    whole, pieces = layers(clips), in_microbatches(layers, clips, most)
    assert torch.allclose(pieces, whole, atol=1e-6)
    (expected,), (found,) = (torch.autograd.grad(y.square().sum(), [layers.weight]) for y in (whole, pieces))
    assert torch.allclose(found, expected, atol=1e-4)
