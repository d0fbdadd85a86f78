"""What tests of stores share: an empty store, and a way to change its database."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from earmark.store.store import KeywordStore


@pytest.fixture
def store(tmp_path: Path) -> KeywordStore:
    return KeywordStore(tmp_path / "words.earmark")


@pytest.fixture
def execute(store: KeywordStore) -> Callable[[str], None]:
    """`execute("UPDATE …")`: change the database of the store without the store."""

    def change(statement: str) -> None:
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            connection.execute(statement)

    return change
