import pytest
import torch
from pydantic import ValidationError

from earmark.training.nn.frontends.masks import Masks, MaskSettings


@pytest.fixture
def features():
    torch.manual_seed(0)
    return torch.randn(64, 30, 12)


def hidden(settings, features):
    """Mask of the features that changed, bool."""
    return Masks(settings)(features) != features


def runs(line):
    """Lengths of the masked intervals of a line."""
    return [len(run) for run in "".join("x" if cell else " " for cell in line.tolist()).split()]


def test_features_do_not_change_without_masks_or_outside_training(features):
    assert Masks(MaskSettings())(features) is features
    assert Masks(MaskSettings(time_masks=2, time_frames=9)).eval()(features) is features


def test_a_time_mask_masks_whole_frames_and_a_frequency_mask_whole_bands(features):
    frames = hidden(MaskSettings(time_masks=1, time_frames=6), features)
    assert torch.equal(frames.all(dim=2), frames.any(dim=2))
    bands = hidden(MaskSettings(frequency_masks=1, frequency_bands=4), features)
    assert torch.equal(bands.all(dim=1), bands.any(dim=1))
    both = hidden(MaskSettings(time_masks=1, time_frames=6, frequency_masks=1, frequency_bands=4), features)
    assert torch.equal(both, both.all(dim=2, keepdim=True) | both.all(dim=1, keepdim=True))


def test_widths_and_positions_are_uniform():
    torch.manual_seed(0)
    lines = hidden(MaskSettings(time_masks=1, time_frames=4), torch.randn(20_000, 9, 1))[..., 0]
    assert all(len(runs(line)) <= 1 for line in lines[:500])
    widths = lines.sum(dim=1)
    assert torch.allclose(widths.bincount() / len(lines), torch.tensor(1 / 5), atol=0.01)
    for width in range(1, 5):
        begins = lines[widths == width].float().argmax(dim=1).bincount()
        assert len(begins) == 10 - width
        assert torch.allclose(begins / begins.sum(), torch.tensor(1 / len(begins)), atol=0.02)


def test_neither_number_nor_length_of_masked_intervals_exceeds_the_maximum(features):
    lines = hidden(MaskSettings(time_masks=3, time_frames=5), features)[..., 0]
    assert all(sum(runs(line)) <= 15 and len(runs(line)) <= 3 for line in lines)
    assert max(len(runs(line)) for line in lines) == 3


def test_each_clip_has_its_own_masks(features):
    lines = hidden(MaskSettings(time_masks=2, time_frames=6), features)[..., 0]
    assert len(lines.unique(dim=0)) > len(lines) // 2


def test_masked_features_are_the_mean_of_their_band(features):
    settings = MaskSettings(time_masks=1, time_frames=6, frequency_masks=1, frequency_bands=4)
    masked = Masks(settings)(features)
    mean = features.mean(dim=(0, 1)).expand_as(features)
    assert torch.equal(masked, torch.where(masked != features, mean, features))


def test_the_masks_follow_torchs_seed(features):
    masks = Masks(MaskSettings(time_masks=2, time_frames=9, frequency_masks=2, frequency_bands=5))
    torch.manual_seed(4)
    first, second = masks(features), masks(features)
    torch.manual_seed(4)
    assert torch.equal(masks(features), first)
    assert not torch.equal(first, second)


def test_a_mask_may_be_longer_than_the_clip(features):
    share = hidden(MaskSettings(time_masks=1, time_frames=1000), features).float().mean()
    assert 0.4 < share < 0.6


def test_masked_features_have_no_gradient(features):
    features.requires_grad_()
    masked = Masks(MaskSettings(time_masks=2, time_frames=9))(features)
    masked.sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad == 0, masked != features)


def test_masks_without_width_are_refused():
    with pytest.raises(ValidationError, match="frequency_masks, frequency_bands"):
        MaskSettings(frequency_masks=2)
