"""Pooling over time in which a network decides what each frame counts."""

import torch
from torch import Tensor, nn

_LEAST_VARIANCE = 1e-5


class AttentivePooling(nn.Module):
    """The weighted mean of a clip's frames, and beside it, where wanted, their weighted deviation.

    A frame h has the score v · tanh(W h + b), and the weights are the scores' softmax over the clip's frames. With the
    mean alone this is self-attentive pooling (Cai et al. 2018, arXiv 1804.05160), with the deviation attentive
    statistics pooling (Okabe et al. 2018, arXiv 1803.10963, equations 2 to 6, without the constant added to all
    scores, which changes no weight).

    Args:
        channels: numbers in a frame; W is square.
        deviations: whether the deviations follow the means.
    """

    def __init__(self, channels: int, *, deviations: bool) -> None:
        super().__init__()
        self.deviations = deviations
        self.hidden = nn.Linear(channels, channels)
        self.score = nn.Linear(channels, 1, bias=False)
        nn.init.xavier_normal_(self.score.weight)

    @property
    def features(self) -> int:
        """Numbers that a clip's frames become."""
        return self.hidden.in_features * (2 if self.deviations else 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Shape (batch, t, channels) to (batch, features)."""
        weights = self.score(self.hidden(frames).tanh()).softmax(dim=1)
        mean = (weights * frames).sum(dim=1)
        if not self.deviations:
            return mean
        variance = (weights * (frames - mean[:, None]).square()).sum(dim=1)
        # At nought, as of a single frame, the root has no gradient.
        return torch.cat([mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()], dim=1)
