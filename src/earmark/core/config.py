"""Settings written as TOML tables: read, laid over each other, and checked with a message that names key and cure."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from earmark.core.errors import InputError
from earmark.core.renamed_keys import RENAMED_KEYS, RENAMED_KINDS


class Settings(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)

READERS = {"words": "earmark train", "sequences": "earmark train", "spatial": "earmark spatial"}
"""The command that reads a recipe, by the recipe's kind; one that says no kind is of words."""


def read_table(path: Path) -> dict[str, Any]:
    """The table of a TOML file, over that of the file that it ``extends``.

    Raises:
        InputError: no such file, not TOML, or files that extend each other.
    """
    return _table(path, ())


def own_table(path: Path) -> dict[str, Any]:
    """The table of a TOML file alone.

    Raises:
        InputError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path}: no such recipe") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is what a file that is no UTF-8 raises
        raise InputError(f"{path}: not TOML: {error}") from None


def _table(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """The table of a file, over that of the file that it extends."""
    if path in extending:
        raise InputError(f"{extending[-1]}: extends {path.name}, which extends it in turn")
    table = own_table(path)
    parent = table.pop("extends", None)
    return table if parent is None else merged(_table(path.parent / str(parent), (*extending, path)), table)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another. A table of another ``kind`` replaces what it lies on: its keys mean something else."""
    both = {key: merged(under[key], over[key]) for key in over if _is_alike(under.get(key), over[key])}
    return {**under, **over, **both}


def _is_alike(under: object, over: object) -> bool:
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return False
    return "kind" not in over or over["kind"] == under.get("kind")


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def set_key(table: dict[str, Any], override: str) -> None:
    """Give a key another value, as ``--set a.b=c`` does.

    Raises:
        InputError: no ``=``, or a key inside of what holds none.
    """
    key, equals, value = override.partition("=")
    if not equals:
        raise InputError(f"--set {override}: write it as key=value, for example optimizer.lr=0.001")
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not _is_table(table):
            raise InputError(f"--set {override}: {parent!r} holds no keys; only whole values and lists can be set")
    try:
        found = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        found = value
    if last == "kind" and table.get("kind") != found:
        table.clear()  # the other keys are those of another kind
    table[last] = found


def end_of_path(path: str) -> str:
    """The last two parts of a path: what it says on any machine."""
    return "/".join(Path(path).resolve().parts[-2:])


def checked(model: type[Model], table: Mapping[str, Any], where: str) -> Model:
    """The settings that a table says.

    Raises:
        InputError: a recipe for another command, an unknown key, a value of the wrong kind; ``where`` says where the
            table comes from.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problem = _first_problem(error, model)
        own = model.model_fields["kind"].default if "kind" in model.model_fields else None
        said = table.get("kind", "words")
        if own in READERS and said in READERS and said != own:
            if "kind" in table:
                problem = f"a recipe of kind {said!r}, which is for: {READERS[said]} {where}"
            else:  # it may be of the right kind all the same
                problem += f" (recipes for {READERS[str(own)]} say kind = {own!r}, those for {READERS[said]} need not)"
        raise InputError(f"{where}: {problem}") from None


def _first_problem(error: ValidationError, root: type[BaseModel]) -> str:
    """The first problem in one line: ``optimizer.lrr: no such key; did you mean 'lr'?``."""
    # A misspelled key is often a missing one too, and says more.
    problem = next((one for one in error.errors() if one["type"] == "extra_forbidden"), error.errors()[0])
    path, keys, kinds = _followed(problem["loc"], root)
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        if RENAMED_KEYS.get(path[-1]) in keys:
            return f"{key}: this key is now called {RENAMED_KEYS[path[-1]]!r}; rename it"
        close = get_close_matches(path[-1], keys, 1)
        return f"{key}: no such key" + (f"; did you mean {close[0]!r}?" if close else "")
    if problem["type"] == "union_tag_invalid":
        said = str(problem["ctx"]["tag"])
        if RENAMED_KINDS.get(said) in kinds:
            return f"{key}.kind: {said!r} is now called {RENAMED_KINDS[said]!r}; rename it"
        close = get_close_matches(said, kinds, 1)
        cure = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(kinds)}"
        return f"{key}.kind: no such kind {said!r}; {cure}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}" if key else message


def _followed(location: tuple[int | str, ...], root: type[BaseModel]) -> tuple[list[str], list[str], list[str]]:
    """A place in the recipe as its writer knows it, without pydantic's tags; the keys beside it; the kinds below it."""
    model: Any = root
    path: list[str] = []
    keys: list[str] = []
    kinds: dict[str, Any] = {}
    for part in location:
        if part in kinds:  # which member of a union was meant, not a key
            model, kinds = kinds[str(part)], {}
            continue
        path.append(str(part))
        keys = list(getattr(model, "model_fields", {}))
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else model
        kinds = {member.model_fields["kind"].default: member for member in _kinds_in(annotation)}
        model = next((part for part in get_args(annotation) if hasattr(part, "model_fields")), annotation)
    return path, keys, list(kinds)


def _kinds_in(annotation: Any) -> list[Any]:
    """The settings models of a union, those with a kind."""
    members = [member for part in get_args(annotation) for member in (_kinds_in(part) or [part])]
    return [member for member in members if "kind" in getattr(member, "model_fields", {})]
