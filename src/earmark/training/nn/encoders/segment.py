"""The speech sequence encoder of Algayres et al. (2022, arXiv 2204.05148): a segment's frames to one vector."""

import math
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from earmark.core.errors import InputError


class SegmentSettings(BaseModel):
    """The layers of the encoder of segments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["segment"] = Field("segment", description="which encoder")
    features: int = Field(768, ge=1, description="numbers in a frame; 768 in wav2vec 2.0 Base")
    dimension: int = Field(512, ge=1, description="length of an embedding, and of the vectors inside")
    context: int = Field(4, ge=1, description="frames that the convolution sees")
    layers: int = Field(1, ge=0, description="layers of the transformer")
    heads: int = Field(4, ge=1, description="heads of its attention")
    feed_forward: int = Field(2048, ge=1, description="rectified units in each of its layers")
    positions: Literal["sinusoidal", "none"] = Field(
        "sinusoidal", description="what tells the transformer a frame's place; none: it sees frames without order"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the numbers inside that a training step leaves out")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.dimension % self.heads:
            raise ValueError(f"heads: {self.dimension} dimensions cannot be shared out among {self.heads} heads")
        if self.positions == "sinusoidal" and self.dimension % 2:
            raise ValueError(f"dimension: {self.dimension} has no pairs of sine and cosine; choose an even number")
        return self


class SegmentEncoder(nn.Module):
    """Frames to embedding.

    Layer normalization, a gated convolution over time (GLU), a transformer that normalizes after each of its parts,
    and the greatest value over time. Frames beyond a segment's length are hidden from each of them, so that a segment
    has one embedding whatever it is padded with; in the published code they are not.

    The convolution's output is as long as its input. With an even number of frames in its view there is no middle:
    of the published 4, frame i sees i - 1 to i + 2, as PyTorch's ``padding="same"`` has it. Beyond either end of a
    segment it sees zeros, after the normalization, so that they are the frames' mean.
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
        """Embeddings of segments, not of unit length; compare their directions.

        Args:
            frames: shape (batch, t, features).
            lengths: frames of each segment, shape (batch,), from 1 to t.

        Returns:
            Shape (batch, dimension).

        Raises:
            InputError: a segment has no frame, or more than there are.
        """
        if not bool(((lengths >= 1) & (lengths <= frames.shape[1])).all()):
            raise InputError(
                f"a batch of {frames.shape[1]} frames has segments of {int(lengths.min())} to {int(lengths.max())}; "
                "leave out segments that are shorter than a frame"
            )
        is_padding = torch.arange(frames.shape[1], device=frames.device) >= lengths.to(frames.device)[:, None]
        # Filled before any arithmetic: what stands in the padding may be anything, NaN included.
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
        """What the loss compares, in training and in validation alike; left out wherever embeddings are used.

        The published code leaves it out of its validation loss too, which then measures another space than the one
        that is trained, and is no guide to when to stop.

        Args:
            embeddings: shape (..., dimension).

        Returns:
            The same shape.
        """
        return self.head(embeddings)


def sinusoids(count: int, width: int, device: torch.device | None = None) -> Tensor:
    """Positions as Vaswani et al. (2017) write them: sines in even columns, cosines in odd ones, shape (count, width).

    >>> sinusoids(2, 4)[1].tolist()
    [0.84, 0.54, 0.01, 1.00]
    """
    place = torch.arange(count, device=device, dtype=torch.float32)[:, None]
    angle = place * torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
