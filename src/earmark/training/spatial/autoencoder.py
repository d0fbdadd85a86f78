"""The auto-encoder of Humayun, Yassin and Abas (2021), with or without the head that predicts positions of clips."""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.config import Settings
from earmark.core.progress import Progress, no_progress
from earmark.training.nn.encoders.dense import HIDDEN, Dense, DenseSettings, linear, norm, prelu
from earmark.training.spatial.fit import FitSettings, History, fit, seeded


class AutoencoderSettings(Settings):
    """Settings of an auto-encoder: its encoder, its training, and the positions that its head predicts."""

    encoder: DenseSettings = Field(DenseSettings(), description="the encoder, which embeds clips of one length")
    fit: FitSettings = Field(FitSettings(), description="optimizer and early stopping")
    position_weight: float = Field(
        1.0, ge=0, description="weight of the squared error of positions; the error of the reconstruction has weight 1"
    )
    standardize: bool = Field(
        False,
        description="scale each input and each position to mean 0 and variance 1 over the unlabeled clips",
    )
    anchors: int = Field(1, ge=1, description="number of anchors of the positions")


class Autoencoder(nn.Module):
    """An encoder and a decoder of features and, if there are anchors, a head that predicts positions of clips.

    Args:
        settings: settings of the encoder.
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
        """Encode features to embeddings, and compute reconstructions and positions from the embeddings.

        Args:
            inputs: shape (batch, f · t).

        Returns:
            Embeddings, shape (batch, d); reconstructions, shape (batch, f · t); and positions, shape (batch, anchors),
            or None without head.
        """
        embeddings = self.encoder.layers(inputs)
        positions = None if self.head is None else self.head(embeddings)
        return embeddings, self.decoder(embeddings), positions


@dataclass(frozen=True)
class TrainedAutoencoder:
    """The encoder of a trained auto-encoder, with the losses of its training.

    Attributes:
        encoder: the encoder; its input need not be standardized.
        history: losses of the epochs.
    """

    encoder: Dense
    history: History

    @torch.inference_mode()
    def embed(self, inputs: Tensor) -> Tensor:
        """Compute embeddings, shape (n, d), of features of shape (n, f · t)."""
        return self.encoder.layers(inputs)


def train_autoencoder(
    inputs: Tensor,
    positions: Tensor | None,
    settings: AutoencoderSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
) -> TrainedAutoencoder:
    """Train an auto-encoder to reconstruct features and, with a head, to predict positions.

    The loss is the mean squared error of the reconstruction plus ``position_weight`` times that of the positions.

    Args:
        inputs: features of clips, shape (n, f · t): all frames of the first feature, then of the second, and so on.
        positions: positions of the clips, shape (n, anchors); None for an auto-encoder without head.
        settings: settings of the network and its training.
        generator: random generator for initial weights, the order of clips, and dropout.
        progress: counts epochs.
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
        # The standardization is merged into the first layer, so that the encoder's input need not be standardized.
        first.weight /= deviation
        first.bias.copy_(first.bias - first.weight @ mean)
    return TrainedAutoencoder(network.encoder, history)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and the standard deviation of each column; the deviation of a constant column is set to 1."""
    deviation = values.std(dim=0, correction=0)
    return values.mean(dim=0), torch.where(deviation > 0, deviation, torch.ones(()))
