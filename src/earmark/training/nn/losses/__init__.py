"""Losses: each file has the settings of one kind of loss, and the module that these settings build."""

from typing import Annotated

from earmark.core.config import TaggedUnion
from earmark.training.nn.losses.a_softmax import ASoftmaxSettings
from earmark.training.nn.losses.aam_softmax import AAMSoftmaxSettings
from earmark.training.nn.losses.am_softmax import AMSoftmaxSettings
from earmark.training.nn.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.nn.losses.ap_fc import APFCSettings
from earmark.training.nn.losses.ge2e import GE2ESettings
from earmark.training.nn.losses.logistic_margin import LogisticMarginSettings
from earmark.training.nn.losses.nt_xent import NTXentSettings
from earmark.training.nn.losses.prototypical import PrototypicalSettings
from earmark.training.nn.losses.softmax import SoftmaxSettings
from earmark.training.nn.losses.softmax_angular_prototypical import SoftmaxAngularPrototypicalSettings
from earmark.training.nn.losses.triplet import TripletSettings

AnyLossSettings = Annotated[
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
    TaggedUnion("angular_prototypical"),
]

__all__ = ["AnyLossSettings"]
