"""Segment encoder, which maps the frames of a segment to one embedding (Algayres et al. 2022, arXiv 2204.05148)."""

import math
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from earmark.core.config import Settings
from earmark.core.errors import InputError


class SegmentSettings(Settings):
    """Settings of the encoder of speech segments; the defaults are those of Algayres et al. (2022)."""

    kind: Literal["segment"] = Field("segment", description="which encoder")
    features: int = Field(768, ge=1, description="length of a frame; 768 in wav2vec 2.0 Base")
    dimension: int = Field(512, ge=1, description="length of an embedding, and of the hidden vectors")
    context: int = Field(4, ge=1, description="kernel size of the convolution, in frames")
    layers: int = Field(1, ge=0, description="number of transformer layers")
    heads: int = Field(4, ge=1, description="attention heads")
    feed_forward: int = Field(2048, ge=1, description="units of the feed-forward network of each layer")
    positions: Literal["sinusoidal", "none"] = Field(
        "sinusoidal", description="positional encoding; none: the transformer ignores the order of frames"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout probability")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.dimension % self.heads:
            raise ValueError(
                f"heads: dimension {self.dimension} is not a multiple of {self.heads}; choose another number of heads"
            )
        if self.positions == "sinusoidal" and self.dimension % 2:
            raise ValueError(f"dimension: {self.dimension} is odd; sinusoidal positions need an even number")
        return self


class SegmentEncoder(nn.Module):
    """Layer normalization, a gated convolution over time (GLU), a post-norm transformer, and the maximum over time.

    Padding beyond a segment's length is masked in every layer. Unlike in the published code, an embedding therefore
    does not depend on the padding.

    The convolution keeps the length. An even kernel is not symmetric: with the published 4, output i depends on frames
    i - 1 to i + 2, as with PyTorch's ``padding="same"``. Beyond the ends of a segment, frames are zeros, which is the
    mean of normalized frames.
    """

    def __init__(self, settings: SegmentSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.dimension
        self.norm = nn.LayerNorm(settings.features)
        self.convolution = nn.Conv1d(settings.features, 2 * width, settings.context)
        self.dropout = nn.Dropout(settings.dropout)
        self.transformer = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, settings.heads, settings.feed_forward, settings.dropout, activation="relu", batch_first=True
            )
            for _ in range(settings.layers)
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Compute the embeddings of segments, which are not of unit length.

        Args:
            frames: shape (batch, t, features).
            lengths: frames of each segment, shape (batch,), from 1 to t.

        Returns:
            Shape (batch, dimension).

        Raises:
            InputError: a length is below 1 or above t.
        """
        if not bool(((lengths >= 1) & (lengths <= frames.shape[1])).all()):
            raise InputError(
                f"lengths: {int(lengths.min())} to {int(lengths.max())} are not in 1 to {frames.shape[1]} frames; "
                "drop segments that are shorter than a frame"
            )
        is_padding = torch.arange(frames.shape[1], device=frames.device) >= lengths.to(frames.device)[:, None]
        # Padding is filled before any arithmetic, because it may hold any value, even NaN.
        x = self.norm(frames.masked_fill(is_padding[:, :, None], 0)).masked_fill(is_padding[:, :, None], 0)
        early = (self.settings.context - 1) // 2
        x = nn.functional.pad(x.transpose(1, 2), (early, self.settings.context - 1 - early))
        x = self.dropout(nn.functional.glu(self.convolution(x), dim=1)).transpose(1, 2)
        if self.settings.positions == "sinusoidal":
            x = x + sinusoids(x.shape[1], x.shape[2], x.device)
        for layer in self.transformer:
            x = layer(x, src_key_padding_mask=is_padding)
        return x.masked_fill(is_padding[:, :, None], -math.inf).amax(dim=1)

    def project(self, embeddings: Tensor) -> Tensor:
        """Project embeddings to the vectors that the training and validation losses compare.

        All other uses take the embeddings themselves.

        The published code omits the projection in validation. Its validation loss therefore measures another space than
        the trained one, and does not show when to stop training.

        Args:
            embeddings: shape (..., dimension).

        Returns:
            The same shape.
        """
        return self.head(embeddings)


def sinusoids(count: int, width: int, device: torch.device | None = None) -> Tensor:
    """Positional encoding of Vaswani et al. (2017): sines in even columns, cosines in odd ones, shape (count, width).

    >>> sinusoids(2, 4)[1].tolist()
    [0.84, 0.54, 0.01, 1.00]
    """
    position = torch.arange(count, device=device, dtype=torch.float32)[:, None]
    angle = position * torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
