"""Additive margin softmax (Wang et al. 2018, arXiv 1801.05599, equation 6; CosFace, arXiv 1801.09414, equation 4)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine
from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.settings import LossSettings


class AMSoftmaxSettings(LossSettings):
    """Settings of the loss; the defaults are those of Jung et al. 2023, arXiv 2211.00439."""

    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["am_softmax"] = Field("am_softmax", description="which loss")
    margin: float = Field(0.3, ge=0, le=2, description="m, subtracted from the cosine with the true class")
    scale: float = Field(15.0, gt=0, description="s, factor on all cosines")
    learned_scale: bool = Field(False, description="learn s, starting at `scale`; the margin stays m · s of the start")

    def build(self, *, classes: int, dimension: int) -> "AMSoftmax":
        """See `LossSettings.build`."""
        return AMSoftmax(self, classes=classes, dimension=dimension)


class AMSoftmax(nn.Module):
    """Cross-entropy over cosines with class vectors, with a margin subtracted from the cosine of the true class.

    With cos θ[k] the cosine of an embedding and the vector of class k, the scores are s · (cos θ[k] - m · [k = y]), and
    the loss is the mean of -log softmax_k at the true class y. Where s is learned, the margin is the constant m · s of
    the start, as in Hajibabaei & Dai 2018 (arXiv 1807.08312: s starts at 100, the margin is 50).

    Args:
        settings: settings of the loss.
        classes: number of classes.
        dimension: length of an embedding.
    """

    def __init__(self, settings: AMSoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dimension)))
        # Learned directly, not as a logarithm, so that the published learning rate gives the published steps.
        self.scale = nn.Parameter(torch.tensor(settings.scale)) if settings.learned_scale else settings.scale

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one batch.

        Args:
            embeddings: shape (N, M, d); rows need not be unit length.
            labels: class number of each row, int64, shape (N,).
            background: not taken.

        Raises:
            InputError: a wrong shape or label.
        """
        classes, dimension = self.weight.shape
        batch = check_input(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        target = batch.sample_labels[:, None]
        scores = self.logits(batch.samples)
        margin = self.settings.margin * self.settings.scale
        return nn.functional.cross_entropy(scores.scatter(1, target, scores.gather(1, target) - margin), target[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Scores s · cos θ without margin: embeddings (n, d) to (n, classes)."""
        return self.scale * cosine(embeddings, self.weight)
