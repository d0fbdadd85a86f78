"""Measured numbers as JSON can hold them."""

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """A JSON document without NaN and infinity, which JSON does not have: None in their place.

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
