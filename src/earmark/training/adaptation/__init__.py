"""Adapting an encoder to recordings that nobody has labeled: mining and training in turn."""

from earmark.training.adaptation.rounds import Adapted, adapt
from earmark.training.adaptation.settings import AdaptSettings

__all__ = ["AdaptSettings", "Adapted", "adapt"]
