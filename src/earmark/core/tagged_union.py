"""Closed unions of settings, told apart by their field ``kind``."""

from typing import Any

from pydantic import Discriminator


def by_kind(default: str) -> Discriminator:
    """What chooses among the members of a union: ``kind``, and where a table does not say it, the default."""

    def kind(value: Any) -> str:
        said = value.get("kind", default) if isinstance(value, dict) else getattr(value, "kind", default)
        return str(said)

    return Discriminator(kind)
