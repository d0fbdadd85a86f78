"""Settings written as TOML tables: read, laid over each other, and checked with a message that names key and cure."""

import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earmark.core.errors import InputError, raise_faults
from earmark.core.renamed_keys import RENAMED_KEYS, RENAMED_KINDS


class Settings(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration: finite, and not negative."""

Model = TypeVar("Model", bound=BaseModel)
Models = tuple[type[BaseModel], ...]
Table = dict[str, Any]

NAME_OR_PATH = "name or path"
"""Marks a field, as in ``Annotated[str, NAME_OR_PATH]``, whose value is a path only where a model is found there."""

READERS = {"words": "earmark train", "sequences": "earmark train", "spatial": "earmark spatial"}
"""The command that reads a recipe, by the recipe's kind; one that says no kind is of words."""


def read_table(path: Path, *models: type[BaseModel], overrides: Sequence[str] = (), over: Path | None = None) -> Table:
    """The table of a TOML file, over that of the file that it ``extends``, with every path absolute.

    A relative path starts from the folder of the file that it is written in; one in an override, from the current
    folder.

    Args:
        path: the file.
        models: the settings that the table may be read as; their fields say which values are paths.
        overrides: ``a.b=value`` each, the value as in TOML (a bare word is a string).
        over: a file with parts of a table, such as ``[encoder]``, that replace those of the first.

    Raises:
        InputError: no such file, not TOML, files that extend each other, or an override that sets no key.
    """
    table = _table(path, models, ())
    if over is not None:
        table = merged(table, _table(over, models, ()), models)
    set_keys(table, overrides, *models)
    return table


def own_table(path: Path) -> Table:
    """The table of a TOML file alone, its paths as they are written.

    Raises:
        InputError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path}: no such recipe") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is what a file that is no UTF-8 raises
        raise InputError(f"{path}: not TOML: {error}") from None


def _table(path: Path, models: Models, extending: tuple[Path, ...]) -> Table:
    """The table of a file, over that of the file that it extends."""
    if path in extending:
        raise InputError(f"{extending[-1]}: extends {path.name}, which extends it in turn")
    table = own_table(path)
    parent = table.pop("extends", None)
    table = placed(table, models, path.parent)
    if parent is None:
        return table
    return merged(_table(path.parent / str(parent), models, (*extending, path)), table, models)


def merged(under: Mapping[str, Any], over: Mapping[str, Any], models: Models) -> Table:
    """One table over another.

    Where the upper table names a ``kind``, the lower one keeps the keys that this kind has too.
    """
    table = {**under, **over}
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            parts = _models(_leaves_at(models, key))
            kept = of_kind(below, value["kind"], parts) if "kind" in value else below
            table[key] = merged(kept, value, parts)
    return table


def of_kind(table: Mapping[str, Any], kind: object, models: Models, keep: Container[str] = ()) -> Table:
    """A table without the keys that belong to other kinds.

    Args:
        table: of one of the models.
        kind: which of them it is to be.
        models: the members of a union, each with a ``kind``.
        keep: keys that stay even so.
    """
    chosen = tuple(model for model in models if _kind_of(model) == kind)
    return _without_others(table, chosen, models, keep) if chosen else dict(table)


def _without_others(table: Mapping[str, Any], chosen: Models, models: Models, keep: Container[str] = ()) -> Table:
    # A key that no kind has stays: it is misspelt, and the check says so.
    kept = {}
    for key, value in table.items():
        if key in keep or _has(chosen, key) or not _has(models, key):
            below, all_below = (_models(_leaves_at(some, key)) for some in (chosen, models))
            kept[key] = _without_others(value, below, all_below) if isinstance(value, dict) and below else value
    return kept


def set_keys(table: Table, overrides: Sequence[str], *models: type[BaseModel]) -> None:
    """Give keys other values, as ``a.b=value`` each says.

    Another ``kind`` keeps the keys that it shares with the one before, and those of overrides before it.

    Raises:
        InputError: no ``=``, or a key inside of what holds none.
    """
    given: set[tuple[str, ...]] = set()
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise InputError(f"{override}: write it as key=value, for example optimizer.lr=0.001")
        *parents, last = key.strip().split(".")
        inside, at = table, models
        for parent in parents:
            inside, at = inside.setdefault(parent, {}), _models(_leaves_at(at, parent))
            if not isinstance(inside, dict):
                raise InputError(f"{override}: {parent!r} holds no keys; only whole values and lists can be set")
        found = placed(_value(value), _leaves_at(at, last), Path.cwd())
        if last == "kind" and parents:
            own = {name for *above, name in given if above == parents}
            kept = of_kind(inside, found, at, own)
            inside.clear()
            inside.update(kept)
        inside[last] = found
        given.add((*parents, last))


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def placed(value: Any, leaves: Iterable[Any], folder: Path) -> Any:
    """A value, or all in a table, with paths that start from the folder made absolute.

    Args:
        value: as TOML has it.
        leaves: the types that the value may have; those of settings say which values in a table are paths.
        folder: where relative paths start.
    """
    leaves = tuple(leaves)
    match value:
        case dict():
            models = _models(leaves)
            return {key: placed(inner, _leaves_at(models, key), folder) for key, inner in value.items()}
        case list():
            return [placed(inner, leaves, folder) for inner in value]
        case str() if Path in leaves or (NAME_OR_PATH in leaves and _is_model(folder / value)):
            return str((folder / value).resolve())
    return value


def _is_model(path: Path) -> bool:
    return path.is_file() or (path / "config.json").is_file()


def _models(leaves: Iterable[Any]) -> Models:
    return tuple(leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, BaseModel))


def _leaves_at(models: Models, key: str) -> tuple[Any, ...]:
    """The types that a key of any of the models may have."""
    fields = [model.model_fields[key] for model in models if key in model.model_fields]
    return tuple(leaf for field in fields for leaf in (*_leaves(field.annotation), *field.metadata))


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, without unions, tuples and lists around them."""
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from _leaves(part)


def _has(models: Models, key: str) -> bool:
    return any(key in model.model_fields for model in models)


def _kind_of(model: type[BaseModel]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


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
        problems = _problems(error, model)
        own = model.model_fields["kind"].default if "kind" in model.model_fields else None
        said = table.get("kind", "words")
        if own in READERS and said in READERS and said != own:
            if "kind" in table:
                problems = [f"a recipe of kind {said!r}, which is for: {READERS[said]} {where}"]
            else:  # it may be of the right kind all the same
                cure = f"recipes for {READERS[str(own)]} say kind = {own!r}, those for {READERS[said]} need not"
                problems = [f"{problems[0]} ({cure})"]
    raise_faults([f"{where}: {problem}" for problem in problems])
    raise AssertionError("a validation error has a problem")


def _problems(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """The problems, each in one line: ``optimizer.lrr: no such key; did you mean 'lr'?``."""
    # A misspelled key is often a missing one too, and says more.
    found = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    misspelled = {(one["loc"][:-1], close) for one in found if (close := _meant(one, root))}
    return [
        line
        for one in found
        if one["type"] != "missing" or (one["loc"][:-1], str(one["loc"][-1])) not in misspelled
        for line in _problem(one, root).splitlines()
    ]


def _meant(problem: Any, root: type[BaseModel]) -> str | None:
    """The key that an unknown key stands for, if it is like one."""
    if problem["type"] != "extra_forbidden":
        return None
    path, keys, _ = _followed(problem["loc"], root)
    renamed = RENAMED_KEYS.get(path[-1])
    return renamed if renamed in keys else next(iter(get_close_matches(path[-1], keys, 1)), None)


def _problem(problem: Any, root: type[BaseModel]) -> str:
    path, keys, kinds = _followed(problem["loc"], root)
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        if RENAMED_KEYS.get(path[-1]) in keys:
            return f"{key}: this key is now called {RENAMED_KEYS[path[-1]]!r}; rename it"
        close = _meant(problem, root)
        return f"{key}: no such key" + (f"; did you mean {close!r}?" if close else "")
    if problem["type"] == "union_tag_invalid":
        said = str(problem["ctx"]["tag"])
        if RENAMED_KINDS.get(said) in kinds:
            return f"{key}.kind: {said!r} is now called {RENAMED_KINDS[said]!r}; rename it"
        like = get_close_matches(said, kinds, 1)
        cure = f"did you mean {like[0]!r}?" if like else f"there are {', '.join(kinds)}"
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
