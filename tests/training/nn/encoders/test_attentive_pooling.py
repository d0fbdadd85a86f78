import pytest
import torch

from earmark.training.nn.encoders.attentive_pooling import AttentivePooling


def plain(pooling, frames):
    """Reference: pool one clip, frame by frame."""
    matrix, offset, vector = (
        weights.detach() for weights in (pooling.hidden.weight, pooling.hidden.bias, pooling.score.weight[0])
    )
    scores = [torch.exp(sum(vector * torch.tanh(matrix @ frame + offset))) for frame in frames]
    weights = [score / sum(scores) for score in scores]
    mean = sum(weight * frame for weight, frame in zip(weights, frames, strict=True))
    if not pooling.deviations:
        return mean
    power = sum(weight * frame**2 for weight, frame in zip(weights, frames, strict=True))
    return torch.cat([mean, (power - mean**2).sqrt()])


@pytest.mark.parametrize("deviations", [False, True])
def test_pooling_is_that_of_a_plain_computation(deviations):
    torch.manual_seed(0)
    pooling, frames = AttentivePooling(6, deviations=deviations), 2 * torch.randn(3, 9, 6)
    assert pooling.features == (12 if deviations else 6)
    for found, clip in zip(pooling(frames), frames, strict=True):
        assert torch.allclose(found, plain(pooling, clip), atol=1e-5)


def test_equal_scores_give_the_mean_and_the_deviation():
    pooling, frames = AttentivePooling(4, deviations=True), torch.randn(2, 7, 4)
    torch.nn.init.zeros_(pooling.score.weight)
    expected = torch.cat([frames.mean(dim=1), frames.std(dim=1, correction=0)], dim=1)
    assert torch.allclose(pooling(frames), expected, atol=1e-6)


def test_the_order_of_frames_does_not_matter():
    pooling, frames = AttentivePooling(4, deviations=True), torch.randn(2, 7, 4)
    assert torch.allclose(pooling(frames.flip(1)), pooling(frames), atol=1e-6)


def test_a_single_frame_has_a_finite_gradient():
    pooling, frame = AttentivePooling(4, deviations=True), torch.randn(2, 1, 4, requires_grad=True)
    pooled = pooling(frame)
    assert torch.allclose(pooled[:, :4], frame[:, 0])
    pooled.sum().backward()
    assert frame.grad is not None
    assert torch.isfinite(frame.grad).all()
