"""Mining: which segments of speech sound alike, found as nearest neighbors of their embeddings."""

from earmark.training.mining.mining import mine
from earmark.training.mining.report import Mined
from earmark.training.mining.settings import MiningSettings

__all__ = ["Mined", "MiningSettings", "mine"]
