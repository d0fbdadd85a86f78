"""The auto-encoder of Humayun, Yassin and Abas 2021, with and without the head that predicts a clip's position."""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.config import Settings
from earmark.core.progress import Progress, no_progress
from earmark.training.nn.encoders.dense import HIDDEN, Dense, DenseSettings, linear, norm, prelu
from earmark.training.spatial.fit import FitSettings, History, fit, seeded


class AutoencoderSettings(Settings):
    """The network and its training."""

    encoder: DenseSettings = Field(DenseSettings(), description="the encoder, an encoder of clips")
    fit: FitSettings = Field(FitSettings(), description="optimizer and early stopping")
    position_weight: float = Field(
        1.0, ge=0, description="weight of the squared error of positions; that of the reconstruction has weight 1"
    )
    standardize: bool = Field(
        False,
        description="scale each input and each position to mean 0 and variance 1 over the unlabeled clips",
    )
    anchors: int = Field(1, ge=1, description="number of anchors of the positions")


class Autoencoder(nn.Module):
    """Encoder, decoder and, where there are anchors, position head.

    Args:
        settings: of the encoder; the decoder reconstructs its input.
        anchors: number of positions that the head predicts; 0: no head.
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
class TrainedAutoencoder:
    """A trained auto-encoder.

    Attributes:
        encoder: its input is features that are not standardized.
        history: of the loss.
    """

    encoder: Dense
    history: History

    @torch.inference_mode()
    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings of inputs of shape (n, f · t), shape (n, d)."""
        return self.encoder.layers(inputs)


def train_autoencoder(
    inputs: Tensor,
    positions: Tensor | None,
    settings: AutoencoderSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
) -> TrainedAutoencoder:
    """Train an auto-encoder to reconstruct features, and to predict positions if there are any.

    The loss is the mean squared error of the reconstruction + ``position_weight`` times that of the positions.

    Args:
        inputs: shape (n, f · t), for each feature all frames.
        positions: shape (n, anchors); None for an auto-encoder without head.
        settings: of the network and its training.
        generator: draws initial weights, the order of examples, and dropout.
        progress: of the epochs.
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

    history = fit(network, loss, len(inputs), settings.fit, generator, progress)
    first = network.encoder.layers[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        # The first layer includes the standardization, so that the encoder needs none.
        first.weight /= deviation
        first.bias.copy_(first.bias - first.weight @ mean)
    return TrainedAutoencoder(network.encoder, history)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column; 1 for a constant column."""
    deviation = values.std(dim=0, correction=0)
    return values.mean(dim=0), torch.where(deviation > 0, deviation, torch.ones(()))
