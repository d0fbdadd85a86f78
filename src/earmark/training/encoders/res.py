"""res8, res15, res26 and their narrow variants (Tang and Lin 2018, arXiv 1710.10361)."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from earmark.training.encoders.clip_settings import ClipSettings


class ResSettings(ClipSettings):
    """Settings of the residual networks."""

    kind: Literal["res"] = Field("res", description="which network")
    depth: Literal[8, 15, 26] = Field(15, description="layers, the last linear one among them")
    maps: int = Field(45, ge=1, description="channels; 45, or 19 in the narrow variants")


class Layer(nn.Module):
    """A 3×3 convolution, rectified, and the normalisation of what becomes of it.

    The normalisation has no weights of its own; the first layer has none.
    """

    def __init__(self, channels_in: int, channels: int, dilation: int = 1, *, normalised: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=False) if normalised else nn.Identity()

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Shape (batch, channels_in, t, f) to (batch, channels, t, f): the sum with the shortcut, and it normalised."""
        total = self.convolution(x).relu()
        if shortcut is not None:
            total = total + shortcut
        return total, self.norm(total)


class Res(nn.Module):
    """Features to embedding.

    After the first layer, every second layer adds the sum that the last such layer made, before normalisation, to
    what it gives itself: relu(convolution(x)) + shortcut → norm. In res15 convolutions spread out over time and
    frequency, 2^⌊i/3⌋ apart, and the last of its 13 has no shortcut; res8 and res26 pool after the first layer
    instead. A linear layer follows the mean over time and frequency.

    Freeze ``layers.0`` … by name: each holds a convolution and its normalisation.
    """

    def __init__(self, settings: ResSettings) -> None:
        super().__init__()
        maps = settings.maps
        dilations = [2 ** (i // 3) if settings.depth == 15 else 1 for i in range(settings.depth - 2)]
        first = Layer(1, maps, normalised=False)
        self.layers = nn.ModuleList([first, *(Layer(maps, maps, dilation) for dilation in dilations)])
        # Time × frequency.
        self.pool = {8: nn.AvgPool2d((4, 3)), 15: nn.Identity(), 26: nn.AvgPool2d(2)}[settings.depth]
        self.output = nn.Linear(maps, settings.dimension)

    def forward(self, features: Tensor) -> Tensor:
        """Shape (batch, t, f) to (batch, dimension)."""
        first, *others = self.layers
        x = shortcut = self.pool(first(features[:, None])[0])
        for number, layer in enumerate(others, start=1):
            if number % 2:
                _, x = layer(x)
            else:
                shortcut, x = layer(x, shortcut)
        return self.output(x.mean(dim=(2, 3)))
