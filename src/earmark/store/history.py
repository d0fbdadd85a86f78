"""The last change of a keyword, which can be undone: the state before it stays in the table, hidden by its name."""

import sqlite3
from pathlib import Path

from earmark.core.names import fold
from earmark.store.keyword_rows import KeywordRows, insert_keyword

# No name contains a line break, so `folded` of a former state equals that of no keyword.
_HIDE = "UPDATE keyword SET folded = char(10) || id WHERE id = ?"
_UNDONE = "undo of: "


def replace_keyword(connection: sqlite3.Connection, path: Path, rows: KeywordRows, folded: str, change: str) -> None:
    """Replace a keyword that the table contains, and keep its state for `undo` in place of an earlier one.

    Args:
        connection: to the store.
        path: its file, for messages.
        rows: the keyword as it is now; its name may differ.
        folded: folded name of the replaced keyword.
        change: what changed, for the message of `undo`.
    """
    (old,) = connection.execute("SELECT id FROM keyword WHERE folded = ?", (folded,)).fetchone()
    connection.execute("DELETE FROM keyword WHERE former_of = ?", (old,))
    connection.execute(_HIDE, (old,))
    new = insert_keyword(connection, path, rows, change)
    connection.execute("UPDATE keyword SET former_of = ? WHERE id = ?", (new, old))
    _move_notes(connection, old, new)


def undo(connection: sqlite3.Connection, folded: str) -> tuple[str, str] | None:
    """Exchange a keyword with its former state, so that undoing twice changes nothing.

    Returns:
        The name of the keyword now, and the change that was undone; None where there is no former state.
    """
    (current, change) = connection.execute("SELECT id, change FROM keyword WHERE folded = ?", (folded,)).fetchone()
    found = connection.execute("SELECT id, name FROM keyword WHERE former_of = ?", (current,)).fetchone()
    if found is None:
        return None
    former, name = found
    connection.execute(_HIDE, (current,))
    again = change.removeprefix(_UNDONE) if change.startswith(_UNDONE) else _UNDONE + change
    connection.execute(
        "UPDATE keyword SET folded = ?, former_of = NULL, change = ? WHERE id = ?", (fold(name), again, former)
    )
    connection.execute("UPDATE keyword SET former_of = ? WHERE id = ?", (former, current))
    _move_notes(connection, current, former)
    return name, change


def _move_notes(connection: sqlite3.Connection, old: int, new: int) -> None:
    """Near misses and the last detection belong to the present state."""
    for table in ("near_miss", "last_detection"):
        connection.execute(f"UPDATE {table} SET keyword = ? WHERE keyword = ?", (new, old))
