"""Old names of keys and kinds of recipes.

Checkpoints and model cards contain the recipe of their run; `with_current_names` converts those of earlier versions.
In a recipe file of a user, an old name is an error that names the new one.
"""

from typing import Any

RENAMED_KEYS = {
    "coloured": "colored",
    "effects": "augment",
    "hearing": "context",
    "labelled": "labeled",
    "licence": "license",
    "neighbour": "neighbor",
    "neighbour_db": "neighbor_db",
    "neighbours": "neighbors",
    "normalise": "normalize",
    "optimiser": "optimizer",
    "repetition": "tile",
    "standardise": "standardize",
    "unlabelled": "unlabeled",
}
"""New names of keys, by old name."""

RENAMED_KINDS = {"centered": "center_crop", "centred": "center_crop", "repeated": "tiled_crop"}
"""New values of fields `kind`, by old value."""


def with_current_names(table: Any) -> Any:
    """Replace old keys and kinds of a table, at any depth.

    >>> with_current_names({"optimiser": {"lr": 0.1}, "scenes": {"kind": "centred"}})
    {'optimizer': {'lr': 0.1}, 'scenes': {'kind': 'center_crop'}}
    """
    match table:
        case dict():
            current = {RENAMED_KEYS.get(key, key): with_current_names(value) for key, value in table.items()}
            if isinstance(current.get("kind"), str):
                current["kind"] = RENAMED_KINDS.get(current["kind"], current["kind"])
            return current
        case list():
            return [with_current_names(item) for item in table]
        case _:
            return table
