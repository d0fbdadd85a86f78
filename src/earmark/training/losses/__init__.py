"""Losses: one a file, each a settings model with a ``kind`` and a module."""

from torch import nn

from earmark.training.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings

LossSettings = AngularPrototypicalSettings

__all__ = ["AngularPrototypical", "AngularPrototypicalSettings", "LossSettings", "build_loss"]


def build_loss(settings: LossSettings) -> nn.Module:
    """The loss that the settings describe."""
    match settings:
        case AngularPrototypicalSettings():
            return AngularPrototypical(settings)
