"""Losses: one a file, each a settings model with a ``kind`` and a module."""

from typing import Annotated, assert_never

from torch import nn

from earmark.core.tagged_union import by_kind
from earmark.training.nn.losses.a_softmax import ASoftmax, ASoftmaxSettings
from earmark.training.nn.losses.aam_softmax import AAMSoftmax, AAMSoftmaxSettings
from earmark.training.nn.losses.am_softmax import AMSoftmax, AMSoftmaxSettings
from earmark.training.nn.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings
from earmark.training.nn.losses.ap_fc import APFC, APFCSettings
from earmark.training.nn.losses.ge2e import GE2E, GE2ESettings
from earmark.training.nn.losses.logistic_margin import LogisticMargin, LogisticMarginSettings
from earmark.training.nn.losses.nt_xent import NTXent, NTXentSettings
from earmark.training.nn.losses.prototypical import Prototypical, PrototypicalSettings
from earmark.training.nn.losses.softmax import Softmax, SoftmaxSettings
from earmark.training.nn.losses.softmax_angular_prototypical import (
    SoftmaxAngularPrototypical,
    SoftmaxAngularPrototypicalSettings,
)
from earmark.training.nn.losses.triplet import Triplet, TripletSettings

LossSettings = Annotated[
    AngularPrototypicalSettings
    | ASoftmaxSettings
    | AAMSoftmaxSettings
    | AMSoftmaxSettings
    | APFCSettings
    | GE2ESettings
    | LogisticMarginSettings
    | NTXentSettings
    | PrototypicalSettings
    | SoftmaxSettings
    | SoftmaxAngularPrototypicalSettings
    | TripletSettings,
    by_kind("angular_prototypical"),
]

__all__ = ["LossSettings", "build_loss"]


def build_loss(settings: LossSettings, *, classes: int, dimension: int) -> nn.Module:  # noqa: C901 - a list, not a maze
    """The loss that the settings describe.

    Args:
        settings: which, and its constants.
        classes: how many are told apart; a loss with a weight for each is built with so many.
        dimension: length of an embedding.
    """
    match settings:
        case AngularPrototypicalSettings():
            return AngularPrototypical(settings, classes=classes, dimension=dimension)
        case ASoftmaxSettings():
            return ASoftmax(settings, classes=classes, dimension=dimension)
        case AAMSoftmaxSettings():
            return AAMSoftmax(settings, classes=classes, dimension=dimension)
        case AMSoftmaxSettings():
            return AMSoftmax(settings, classes=classes, dimension=dimension)
        case APFCSettings():
            return APFC(settings, classes=classes, dimension=dimension)
        case GE2ESettings():
            return GE2E(settings, classes=classes, dimension=dimension)
        case LogisticMarginSettings():
            return LogisticMargin(settings, classes=classes, dimension=dimension)
        case NTXentSettings():
            return NTXent(settings, classes=classes, dimension=dimension)
        case PrototypicalSettings():
            return Prototypical(settings, classes=classes, dimension=dimension)
        case SoftmaxSettings():
            return Softmax(settings, classes=classes, dimension=dimension)
        case SoftmaxAngularPrototypicalSettings():
            return SoftmaxAngularPrototypical(settings, classes=classes, dimension=dimension)
        case TripletSettings():
            return Triplet(settings, classes=classes, dimension=dimension)
        case _:
            assert_never(settings)
