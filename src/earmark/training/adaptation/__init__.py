"""Adaptation of an encoder to unlabeled recordings: mining and training in turn."""

from earmark.training.adaptation.initialization import Initialization, choose_initialization
from earmark.training.adaptation.self_training import AdaptationResult, SelfTraining, adapt
from earmark.training.adaptation.settings import AdaptSettings

__all__ = ["AdaptSettings", "AdaptationResult", "Initialization", "SelfTraining", "adapt", "choose_initialization"]
