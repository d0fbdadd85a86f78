"""Attentive pooling: a mean of frames over time whose weights are learned."""

import torch
from torch import Tensor, nn

_LEAST_VARIANCE = 1e-5


class AttentivePooling(nn.Module):
    """Weighted mean of a clip's frames, and optionally their weighted standard deviation.

    A frame h has the score v · tanh(W h + b). The weights are the softmax of the scores over the frames. The mean alone
    is self-attentive pooling (Cai et al. 2018, arXiv 1804.05160). The mean with the deviation is attentive statistics
    pooling (Okabe et al. 2018, arXiv 1803.10963, equations 2 to 6). The constant that Okabe et al. add to all scores is
    omitted, because it changes no weight.

    Args:
        channels: length of a frame; W is square.
        deviations: append the deviations to the means.
    """

    def __init__(self, channels: int, *, deviations: bool) -> None:
        super().__init__()
        self.deviations = deviations
        self.hidden = nn.Linear(channels, channels)
        self.score = nn.Linear(channels, 1, bias=False)
        nn.init.xavier_normal_(self.score.weight)

    @property
    def features(self) -> int:
        """Length of the pooled vector: `channels`, or twice as many with deviations."""
        return self.hidden.in_features * (2 if self.deviations else 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Pool the frames of each clip, shape (batch, t, channels), to one vector, shape (batch, features)."""
        weights = self.score(self.hidden(frames).tanh()).softmax(dim=1)
        mean = (weights * frames).sum(dim=1)
        if not self.deviations:
            return mean
        variance = (weights * (frames - mean[:, None]).square()).sum(dim=1)
        # The variance of a single frame is 0, where the square root has no finite gradient.
        return torch.cat([mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()], dim=1)
