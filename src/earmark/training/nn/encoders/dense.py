"""Three dense layers over the MFCC of a clip (Humayun, Yassin and Abas 2021, doi 10.7717/peerj-cs.650)."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.encoders.clip import ClipEncoderSettings, check_shape
from earmark.training.nn.frontends import FrontendSettings, MfccSettings

HIDDEN = (300, 150)

# librosa's defaults at 16 kHz: 20 × 32 coefficients per second.
LIBROSA_MFCC = MfccSettings(
    coefficients=20,
    window_s=0.128,
    hop_s=0.032,
    n_mels=128,
    scale="slaney",
    padding="zeros",
    full_scale=32768,
)


class DenseSettings(ClipEncoderSettings):
    """Settings of the dense network. Its input size follows from the frontend and ``length_s``."""

    kind: Literal["dense"] = Field("dense", description="which network")
    dimension: int = Field(75, ge=1, description="length of an embedding")
    frontend: FrontendSettings = Field(LIBROSA_MFCC, description="spectral features")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout probability after the first layer")

    def network(self) -> "Dense":
        """Build the network, which maps the features of clips to embeddings."""
        return Dense(self)


class Dense(nn.Module):
    """Three linear layers: 300 units with batch normalization, PReLU and dropout; 150 with batch normalization; output.

    There is no nonlinearity between the second and the third layer.
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
        """Compute the embeddings of clips, shape (batch, dimension), from their features, shape (batch, t, f).

        Raises:
            InputError: t or f differs from the settings.
        """
        check_shape(features, self.shape)
        return self.layers(flat(features))


def flat(features: Tensor) -> Tensor:
    """Flatten features (batch, t, f) to (batch, f · t), feature-major, as in librosa.

    >>> flat(Tensor([[[1, 2], [3, 4], [5, 6]]])).tolist()
    [[1.0, 3.0, 5.0, 2.0, 4.0, 6.0]]
    """
    return features.mT.flatten(1)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Build a linear layer with the initialization of Keras: Glorot and Bengio 2010, zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def norm(features: int) -> nn.BatchNorm1d:
    """Build a batch normalization with the defaults of Keras: momentum 0.01 in PyTorch's definition, epsilon 1e-3."""
    return nn.BatchNorm1d(features, eps=1e-3, momentum=0.01)


def prelu(features: int) -> nn.PReLU:
    """Build a PReLU with the defaults of Keras: one slope per unit, 0 at the start."""
    return nn.PReLU(features, init=0.0)
