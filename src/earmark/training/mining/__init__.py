"""Mining: pairs of similar speech segments, found as nearest neighbors of their embeddings."""

from earmark.training.mining.mining import mine
from earmark.training.mining.result import MiningResult
from earmark.training.mining.settings import MiningSettings

__all__ = ["MiningResult", "MiningSettings", "mine"]
