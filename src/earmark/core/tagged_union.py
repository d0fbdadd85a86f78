"""Closed unions of settings models that differ in their field ``kind``."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler


@dataclass(frozen=True)
class ByKind:
    """Annotation of a union whose members are selected by ``kind``: ``Annotated[A | B, by_kind("a")]``."""

    default: str

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> Any:
        """Schema of the union, behind a step that fills in the default kind."""
        tagged = Annotated[union, Field(discriminator="kind")]
        return handler.generate_schema(Annotated[tagged, BeforeValidator(self._with_kind)])

    def _with_kind(self, value: Any) -> Any:
        return {"kind": self.default, **value} if isinstance(value, dict) else value


def by_kind(default: str) -> ByKind:
    """Select the member of a union by ``kind``; a table without one is of the default kind."""
    return ByKind(default)
