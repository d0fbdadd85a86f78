"""Three dense layers over all MFCC of a clip (Humayun, Yassin and Abas 2021, doi 10.7717/peerj-cs.650)."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.training.nn.encoders.clip_settings import ClipSettings
from earmark.training.nn.frontends import FrontendSettings, MfccSettings

HIDDEN = (300, 150)

# What librosa gives where nobody sets anything, at 16 kHz: 20 × 32 coefficients of a second.
LIBROSA_MFCC = MfccSettings(
    coefficients=20,
    window_s=0.128,
    hop_s=0.032,
    n_mels=128,
    scale="slaney",
    padding="zeros",
    full_scale=32768,
)


class DenseSettings(ClipSettings):
    """Settings of the network; how many numbers it sees follows from the frontend and ``length_s``."""

    kind: Literal["dense"] = Field("dense", description="which network")
    dimension: int = Field(75, ge=1, description="length of an embedding")
    frontend: FrontendSettings = Field(LIBROSA_MFCC, description="which features of the sound the network sees")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of the first layer's numbers left out in training")


class Dense(nn.Module):
    """Features to embedding: 300 numbers, normalized, with PReLU and dropout; 150, normalized; the embedding.

    Nothing but the normalization stands between the second layer and the last, which together are linear.
    """

    def __init__(self, settings: DenseSettings) -> None:
        super().__init__()
        self.shape = settings.shape
        frames, features = self.shape
        first, second = HIDDEN
        self.layers = nn.Sequential(
            linear(frames * features, first),
            norm(first),
            prelu(first),
            nn.Dropout(settings.dropout),
            linear(first, second),
            norm(second),
            linear(second, settings.dimension),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Shape (batch, t, f) to (batch, dimension).

        Raises:
            InputError: t and f are not those that the network was made for.
        """
        if features.shape[1:] != self.shape:
            found, right = ("{} frames of {}".format(*shape) for shape in (features.shape[1:], self.shape))
            raise InputError(f"{found} features, where this network sees {right}; cut clips to length_s")
        return self.layers(flat(features))


def flat(features: Tensor) -> Tensor:
    """Features of shape (batch, t, f) as rows of shape (batch, f · t): of each feature all frames, as librosa has them.

    >>> flat(Tensor([[[1, 2], [3, 4], [5, 6]]])).tolist()
    [[1.0, 3.0, 5.0, 2.0, 4.0, 6.0]]
    """
    return features.mT.flatten(1)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that begins as Keras's does: weights after Glorot and Bengio 2010, no bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def norm(features: int) -> nn.BatchNorm1d:
    """Batch normalization as Keras has it: statistics move by a hundredth a step, and 1e-3 is added to the variance."""
    return nn.BatchNorm1d(features, eps=1e-3, momentum=0.01)


def prelu(features: int) -> nn.PReLU:
    """PReLU as Keras has it: a slope for each number, 0 at first."""
    return nn.PReLU(features, init=0.0)
