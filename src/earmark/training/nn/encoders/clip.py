"""Clip encoders: waveform of a fixed length to one embedding."""

from torch import Tensor, nn

from earmark.training.nn.encoders.bc_resnet import BCResNet, BCResNetSettings
from earmark.training.nn.encoders.convmixer import ConvMixer, ConvMixerSettings
from earmark.training.nn.encoders.dense import Dense, DenseSettings
from earmark.training.nn.encoders.res import Res, ResSettings
from earmark.training.nn.encoders.resnet_se import ResNetSE, ResNetSESettings
from earmark.training.nn.encoders.sphere import Sphere, SphereSettings
from earmark.training.nn.frontends import build_frontend
from earmark.training.nn.frontends.masks import Masks

ClipEncoderSettings = (
    ResSettings | ConvMixerSettings | BCResNetSettings | SphereSettings | ResNetSESettings | DenseSettings
)


class ClipEncoder(nn.Module):
    """Frontend, masks in training, and network."""

    def __init__(self, settings: ClipEncoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.frontend = build_frontend(settings.frontend)
        self.masks = Masks(settings.mask)
        self.network = _network(settings)

    def forward(self, waves: Tensor) -> Tensor:
        """Embeddings of clips.

        Args:
            waves: shape (batch, n), values in [-1, 1], n = ``settings.samples``.

        Returns:
            Shape (batch, dimension), not of unit length.
        """
        return self.network(self.masks(self.frontend(waves)))


def _network(settings: ClipEncoderSettings) -> nn.Module:
    match settings:
        case ResSettings():
            return Res(settings)
        case ConvMixerSettings():
            return ConvMixer(settings)
        case BCResNetSettings():
            return BCResNet(settings)
        case SphereSettings():
            return Sphere(settings)
        case DenseSettings():
            return Dense(settings)
        case ResNetSESettings():
            return ResNetSE(settings)
