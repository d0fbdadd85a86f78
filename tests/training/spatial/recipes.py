"""Recipes of simulations as tables."""

from pathlib import Path
from typing import Any

from earmark.core.config import resolve_paths, validate
from earmark.training.spatial.settings import SpatialSettings


def parse_spatial(table: dict[str, Any], folder: Path, where: str) -> SpatialSettings:
    """Settings of a table whose relative paths start from a folder."""
    return validate(SpatialSettings, resolve_paths(table, [SpatialSettings], folder), where)
