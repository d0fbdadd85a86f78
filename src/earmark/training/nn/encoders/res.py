"""res8, res15, res26 and their narrow variants (Tang and Lin 2018, arXiv 1710.10361)."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.encoders.clip import ClipEncoderSettings
from earmark.training.nn.encoders.microbatches import in_microbatches


class ResSettings(ClipEncoderSettings):
    """Settings of the encoders res8, res15 and res26, and of their narrow variants."""

    kind: Literal["res"] = Field("res", description="which network")
    depth: Literal[8, 15, 26] = Field(15, description="number of layers, including the linear layer")
    maps: int = Field(45, ge=1, description="channels; 45, or 19 in the narrow variants")

    def network(self) -> "Res":
        """Build the network, which maps the features of clips to embeddings."""
        return Res(self)


class Layer(nn.Module):
    """A 3×3 convolution, ReLU, the sum with a shortcut, and batch normalization without affine weights."""

    def __init__(self, maps: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(maps, maps, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(maps, affine=False)

    def forward(self, x: Tensor, shortcut: Tensor | None) -> tuple[Tensor, Tensor]:
        """Apply the convolution and ReLU to ``x``, shape (batch, maps, t, f), and add the shortcut if there is one.

        Returns:
            This sum before and after its normalization, each of the shape of ``x``.
        """
        total = self.convolution(x).relu()
        if shortcut is not None:
            total = total + shortcut
        return total, self.norm(total)


class Res(nn.Module):
    """res8, res15 or res26: residual convolutions, the mean over time and frequency, a linear layer.

    The first layer has no normalization. Every second layer after it adds a shortcut: the sum, before normalization, of
    the layer two before it. In res15, convolution i of 13 has dilation 2^⌊i/3⌋, and the last has no shortcut. res8 and
    res26 have no dilation; their first layer ends with average pooling.

    Names for ``start.freeze``: ``layers.0`` …, each a convolution and its normalization.
    """

    def __init__(self, settings: ResSettings) -> None:
        super().__init__()
        maps = settings.maps
        # Time × frequency.
        pool = {8: nn.AvgPool2d((4, 3)), 15: nn.Identity(), 26: nn.AvgPool2d(2)}[settings.depth]
        first = nn.Sequential(nn.Conv2d(1, maps, 3, padding=1, bias=False), nn.ReLU(), pool)
        dilations = [2 ** (i // 3) if settings.depth == 15 else 1 for i in range(settings.depth - 2)]
        self.layers = nn.ModuleList([first, *(Layer(maps, dilation) for dilation in dilations)])
        self.output = nn.Linear(maps, settings.dimension)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the embeddings of clips, shape (batch, dimension), from their features, shape (batch, t, f)."""
        first, *others = self.layers
        x = shortcut = in_microbatches(first, features[:, None])
        for number, layer in enumerate(others, start=1):
            if number % 2:
                _, x = layer(x, None)
            else:
                shortcut, x = layer(x, shortcut)
        return self.output(x.mean(dim=(2, 3)))
