"""Conversion of measured numbers for JSON files."""

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None.

    >>> finite({"eer": float("nan"), "rates": (0.5, 1)})
    {'eer': None, 'rates': [0.5, 1]}
    """
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {key: finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
    return value
