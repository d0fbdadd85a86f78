"""The auto-encoder of Humayun, Yassin and Abas 2021, with and without the head that learns a clip's position."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.config import Settings
from earmark.training.nn.encoders.dense import HIDDEN, Dense, DenseSettings, linear, norm, prelu
from earmark.training.spatial.fit import FitSettings, History, fit, seeded


class AutoencoderSettings(Settings):
    """The network and how it learns."""

    encoder: DenseSettings = Field(DenseSettings(), description="the encoder, an encoder of clips like any other")
    fit: FitSettings = Field(FitSettings(), description="how it learns")
    position_weight: float = Field(
        1.0, ge=0, description="weight of the positions' squared error beside that of the reconstruction, 1"
    )
    standardize: bool = Field(
        False,
        description="bring each input and each position to mean 0 and variance 1 over the unlabeled clips first",
    )
    anchors: int = Field(1, ge=1, description="anchors that positions are measured to")


class Autoencoder(nn.Module):
    """Encoder, decoder and, where there are anchors, position head.

    Args:
        settings: of the encoder; as many numbers as it sees are reconstructed.
        anchors: positions that the head learns; 0: no head.
    """

    def __init__(self, settings: DenseSettings, anchors: int) -> None:
        super().__init__()
        frames, features = settings.shape
        self.encoder = Dense(settings)
        self.decoder = nn.Sequential(
            linear(settings.dimension, HIDDEN[0]),
            norm(HIDDEN[0]),
            nn.Dropout(settings.dropout),
            linear(HIDDEN[0], frames * features),
        )
        self.head = (
            nn.Sequential(linear(settings.dimension, 50), norm(50), prelu(50), linear(50, anchors)) if anchors else None
        )

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs of shape (batch, f · t) to embeddings, reconstructions, and positions of shape (batch, anchors)."""
        embeddings = self.encoder.layers(inputs)
        positions = None if self.head is None else self.head(embeddings)
        return embeddings, self.decoder(embeddings), positions


@dataclass(frozen=True)
class Learned:
    """What was learned without labels.

    Attributes:
        encoder: takes features as they are, whether inputs were standardized in training or not.
        history: of the loss.
    """

    encoder: Dense
    history: History

    @torch.inference_mode()
    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings of inputs of shape (n, f · t), shape (n, d)."""
        return self.encoder.layers(inputs)


def learn(
    inputs: Tensor,
    positions: Tensor | None,
    settings: AutoencoderSettings,
    generator: torch.Generator,
    on_epoch: Callable[[int, float], object] = lambda *_: None,
) -> Learned:
    """Learn to reconstruct features, and, where positions are given, where a clip lies.

    The loss is the mean square of what the reconstruction misses + ``position_weight`` times that of the positions.

    Args:
        inputs: shape (n, f · t), of each feature all frames.
        positions: shape (n, anchors); None: the plain auto-encoder.
        settings: of the network, and how it learns.
        generator: of first weights, order and dropout.
        on_epoch: told the number of epochs done and the loss.
    """
    with seeded(generator):
        network = Autoencoder(settings.encoder, 0 if positions is None else positions.shape[1])
    mean, deviation = torch.zeros(inputs.shape[1]), torch.ones(inputs.shape[1])
    if settings.standardize:
        mean, deviation = _moments(inputs)
        inputs = (inputs - mean) / deviation
        if positions is not None:
            place, spread = _moments(positions)
            positions = (positions - place) / spread

    def loss(rows: Tensor) -> Tensor:
        given = inputs[rows]
        _, reconstruction, found = network(given)
        total = nn.functional.mse_loss(reconstruction, given)
        if found is None or positions is None:
            return total
        return total + settings.position_weight * nn.functional.mse_loss(found, positions[rows])

    history = fit(network, loss, len(inputs), settings.fit, generator, on_epoch)
    first = network.encoder.layers[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        # What was done to the inputs becomes part of the first layer, so that the encoder takes them as they are.
        first.weight /= deviation
        first.bias.copy_(first.bias - first.weight @ mean)
    return Learned(network.encoder, history)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each column; a column that never changes counts as deviating by 1."""
    deviation = values.std(dim=0, correction=0)
    return values.mean(dim=0), torch.where(deviation > 0, deviation, torch.ones(()))
