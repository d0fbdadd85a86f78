import pytest
import torch
from pydantic import ValidationError

from earmark.training.nn.encoders.bc_resnet import BCResNet, BCResNetSettings, Block, SubSpectralNorm
from earmark.training.nn.encoders.clip import ClipEncoder
from earmark.training.nn.frontends import LogMelSettings


@pytest.mark.parametrize(
    ("width", "thousands"), [(1, "9.2"), (1.5, "17.2"), (2, "27.3"), (3, "54.2"), (6, "188"), (8, "321")]
)
def test_the_networks_have_the_published_numbers_of_parameters(width, thousands):
    model = ClipEncoder(BCResNetSettings(width=width, dimension=12))
    count = sum(parameter.numel() for parameter in model.parameters())
    digits = len(thousands.partition(".")[2])
    assert f"{count / 1000:.{digits}f}" == thousands


def test_the_frontend_is_the_published_one():
    frontend = BCResNetSettings().frontend
    assert isinstance(frontend, LogMelSettings)
    assert (frontend.window, frontend.hop, frontend.n_mels) == (480, 160, 40)


@pytest.mark.parametrize("width", [4, 0, -1])
def test_widths_that_were_not_published_are_refused(width):
    with pytest.raises(ValidationError, match="width"):
        BCResNetSettings(width=width)


def test_features_that_do_not_split_into_five_sub_bands_are_refused():
    with pytest.raises(ValidationError, match="frontend: 32 features"):
        BCResNetSettings(frontend=LogMelSettings(n_mels=32))


def test_sub_spectral_normalization_is_batch_normalization_of_each_part():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 10, 7) * torch.arange(1.0, 11)[:, None] + torch.arange(10.0)[:, None]
    normalized = SubSpectralNorm(3)(x)
    for channel in range(3):
        for first in range(0, 10, 2):
            part = x[:, channel, first : first + 2]
            expected = (part - part.mean()) / (part.var(correction=0) + 1e-5).sqrt()
            assert torch.allclose(normalized[:, channel, first : first + 2], expected, atol=1e-5)


@pytest.mark.parametrize(("channels_in", "stride"), [(8, 1), (6, 1), (6, 2)])
def test_a_block_is_the_sum_of_its_terms(channels_in, stride):
    torch.manual_seed(0)
    block = Block(channels_in, 8, stride, 2, 0.5).eval()
    x = torch.randn(3, channels_in, 20, 11)
    over_frequency = block.frequency(x)
    assert over_frequency.shape == (3, 8, 20 // stride, 11)
    over_time = block.time(over_frequency.mean(dim=2))
    expected = over_frequency.clone()
    for row in range(20 // stride):
        expected[:, :, row] += over_time
    if channels_in == 8:
        expected += x
    assert torch.allclose(block(x), expected.clamp(min=0), atol=1e-5)


def test_bands_shrink_to_five_before_the_exit_and_frames_stay():
    network = BCResNet(BCResNetSettings()).eval()
    x = network.entry(torch.randn(2, 1, 40, 101))
    heights = [x.shape[2]]
    for block in network.blocks:
        x = block(x)
        heights.append(x.shape[2])
    assert heights == [20] * 3 + [10] * 2 + [5] * 8
    assert x.shape == (2, 20, 5, 101)
    assert network.exit(x).shape == (2, 32, 1, 101)
