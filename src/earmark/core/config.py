"""Settings in TOML files: read, merged, overridden, and validated with messages that name the key and the cure."""

import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError

from earmark.core.errors import InputError, raise_faults
from earmark.core.renamed_keys import RENAMED_KEYS, RENAMED_KINDS


class Settings(BaseModel):
    """Base class of all settings: they cannot be changed, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class TaggedUnion:
    """Annotation of a union of settings that is discriminated by ``kind``: ``Annotated[A | B, TaggedUnion("a")]``.

    Attributes:
        default: kind of a table without the key ``kind``.
    """

    default: str

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> Any:
        """Make the schema of the union; a table without ``kind`` first gets the default kind."""
        tagged = Annotated[union, Field(discriminator="kind")]
        return handler.generate_schema(Annotated[tagged, BeforeValidator(self._with_kind)])

    def _with_kind(self, value: Any) -> Any:
        return {"kind": self.default, **value} if isinstance(value, dict) else value


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration: finite, and not negative."""

Model = TypeVar("Model", bound=BaseModel)
Models = tuple[type[BaseModel], ...]
Table = dict[str, Any]

NAME_OR_PATH = "name or path"
"""Marks a field whose value is a path if a model is at that path, else a name: ``Annotated[str, NAME_OR_PATH]``."""

COMMANDS = {"words": "earmark train", "sequences": "earmark train", "spatial": "earmark spatial"}
"""Command for each kind of recipe; a recipe without a kind is of kind ``words``."""


def read_table(path: Path, *models: type[BaseModel], overrides: Sequence[str] = (), over: Path | None = None) -> Table:
    """Read a settings table from a TOML file, add the keys of the file that it ``extends``, make its paths absolute.

    A relative path starts from the folder of the file that contains it; in an override, from the current folder.

    Args:
        path: the file.
        models: settings models of the table; their fields determine which values are paths.
        overrides: ``a.b=value`` each; the value is TOML, or a word without quotes.
        over: a second file, whose tables, such as ``[encoder]``, replace those of the first file.

    Raises:
        InputError: the file is missing or not TOML, files extend each other, or an override sets no key.
    """
    table = _table(path, models, ())
    if over is not None:
        table = merge(table, _table(over, models, ()), models)
    apply_overrides(table, overrides, *models)
    return table


def read_toml(path: Path) -> Table:
    """Read a TOML file as it is, without the file that it ``extends``; relative paths stay relative.

    Raises:
        InputError: the file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path}: no such recipe; check the path") from None
    except ValueError as error:  # TOMLDecodeError, or UnicodeDecodeError
        raise InputError(f"{path}: not TOML: {error}; correct the file") from None


def _table(path: Path, models: Models, extending: tuple[Path, ...]) -> Table:
    """Read a TOML file, with the keys of the file that it ``extends``; `extending` lists the files that extend it."""
    if path in extending:
        raise InputError(f"{extending[-1]}: extends {path.name}, which extends this file in turn; remove one `extends`")
    table = read_toml(path)
    parent = table.pop("extends", None)
    table = resolve_paths(table, models, path.parent)
    if parent is None:
        return table
    return merge(_table(path.parent / str(parent), models, (*extending, path)), table, models)


def merge(under: Mapping[str, Any], over: Mapping[str, Any], models: Models) -> Table:
    """Merge two tables; values of `over` replace those of `under`.

    Where a table of `over` has a ``kind``, the keys of `under` that this kind does not have are dropped.
    """
    table = {**under, **over}
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            parts = _models(_leaves_at(models, key))
            kept = of_kind(below, value["kind"], parts) if "kind" in value else below
            table[key] = merge(kept, value, parts)
    return table


def of_kind(table: Mapping[str, Any], kind: object, models: Models, keep: Container[str] = ()) -> Table:
    """Copy a table for a new kind of settings, without the keys that only other kinds have.

    Args:
        table: settings of one kind.
        kind: the new kind.
        models: the members of a union, each with a ``kind``.
        keep: keys to keep in any case.
    """
    chosen = tuple(model for model in models if _kind_of(model) == kind)
    return _without_others(table, chosen, models, keep) if chosen else dict(table)


def _without_others(table: Mapping[str, Any], chosen: Models, models: Models, keep: Container[str] = ()) -> Table:
    # A key that no kind has is misspelled; it stays for the error message.
    kept = {}
    for key, value in table.items():
        if key in keep or _has(chosen, key) or not _has(models, key):
            below, all_below = (_models(_leaves_at(some, key)) for some in (chosen, models))
            kept[key] = _without_others(value, below, all_below) if isinstance(value, dict) and below else value
    return kept


def apply_overrides(table: Table, overrides: Sequence[str], *models: type[BaseModel]) -> None:
    """Set keys of a table to other values, ``a.b=value`` each.

    If an override changes a ``kind``, the table keeps the keys that both kinds have, and keys of earlier overrides.

    Raises:
        InputError: an override has no ``=``, or a part of its key names a value without keys.
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
                raise InputError(f"{override}: {parent!r} is a value without keys; set {parent!r} itself")
        found = resolve_paths(_value(value), _leaves_at(at, last), Path.cwd())
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


def resolve_paths(value: Any, leaves: Iterable[Any], folder: Path) -> Any:
    """Make the paths of a value or table absolute.

    Args:
        value: a value of a TOML file.
        leaves: types that the value may have: `Path` for a path, a settings model for a table with such fields.
        folder: folder that relative paths start from.
    """
    leaves = tuple(leaves)
    match value:
        case dict():
            models = _models(leaves)
            return {key: resolve_paths(inner, _leaves_at(models, key), folder) for key, inner in value.items()}
        case list():
            return [resolve_paths(inner, leaves, folder) for inner in value]
        case str() if Path in leaves or (NAME_OR_PATH in leaves and _is_model(folder / value)):
            return str((folder / value).resolve())
    return value


def _is_model(path: Path) -> bool:
    return path.is_file() or (path / "config.json").is_file()


def _models(leaves: Iterable[Any]) -> Models:
    return tuple(leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, BaseModel))


def _leaves_at(models: Models, key: str) -> tuple[Any, ...]:
    """Return the types that the fields called `key` of the models allow, and the metadata of these fields."""
    fields = [model.model_fields[key] for model in models if key in model.model_fields]
    return tuple(leaf for field in fields for leaf in (*_leaves(field.annotation), *field.metadata))


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types in an annotation: the members of its unions, tuples and lists, at any depth."""
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from _leaves(part)


def _has(models: Models, key: str) -> bool:
    return any(key in model.model_fields for model in models)


def _kind_of(model: type[BaseModel]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def portable_path(path: str) -> str:
    """Return the last two parts of a path, which do not depend on the machine."""
    return "/".join(Path(path).resolve().parts[-2:])


def validate(model: type[Model], table: Mapping[str, Any], where: str) -> Model:
    """Make settings from a table, and report every fault in it.

    Args:
        model: the settings.
        table: a table of a TOML file.
        where: path of the TOML file, for messages.

    Raises:
        InputError: the recipe is for another command, a key is unknown, or a value is wrong; the error names every
            fault.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems = _problems(error, model)
        own = model.model_fields["kind"].default if "kind" in model.model_fields else None
        found = table.get("kind", "words")
        if own in COMMANDS and found in COMMANDS and found != own:
            if "kind" in table:
                problems = [f"this is a recipe of kind {found!r}; run: {COMMANDS[found]} {where}"]
            else:  # the recipe may lack its kind
                cure = f"a recipe for {COMMANDS[str(own)]} needs kind = {own!r}; or run {COMMANDS[found]}"
                problems = [f"{problems[0]} ({cure})"]
    raise_faults([f"{where}: {problem}" for problem in problems])
    raise AssertionError("pydantic reported an error without a problem")


def _problems(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Describe the problems of a pydantic error, such as ``optimizer.lrr: no such key; did you mean 'lr'?``."""
    # A misspelled key is often a missing key, too; then only the former is reported.
    found = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    misspelled = {(one["loc"][:-1], close) for one in found if (close := _meant(one, root))}
    return [
        line
        for one in found
        if one["type"] != "missing" or (one["loc"][:-1], str(one["loc"][-1])) not in misspelled
        for line in _problem(one, root).splitlines()
    ]


def _meant(problem: Any, root: type[BaseModel]) -> str | None:
    """Return the known key that the user probably meant by an unknown key; None if the key is known, or unlike any."""
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
        return f"{key}: no such key" + (f"; did you mean {close!r}?" if close else "; remove it")
    if problem["type"] == "union_tag_invalid":
        kind = str(problem["ctx"]["tag"])
        if RENAMED_KINDS.get(kind) in kinds:
            return f"{key}.kind: {kind!r} is now called {RENAMED_KINDS[kind]!r}; rename it"
        like = get_close_matches(kind, kinds, 1)
        cure = f"did you mean {like[0]!r}?" if like else f"choose one of {', '.join(kinds)}"
        return f"{key}.kind: no such kind {kind!r}; {cure}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}" if key else message


def _followed(location: tuple[int | str, ...], root: type[BaseModel]) -> tuple[list[str], list[str], list[str]]:
    """Return the parts of the key at the location of pydantic's error, the known keys beside it, and its kinds."""
    model: Any = root
    path: list[str] = []
    keys: list[str] = []
    kinds: dict[str, Any] = {}
    for part in location:
        if part in kinds:  # pydantic's tag of a union's member, not a key
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
    """Return the settings models in an annotation that have a field ``kind``."""
    members = [member for part in get_args(annotation) for member in (_kinds_in(part) or [part])]
    return [member for member in members if "kind" in getattr(member, "model_fields", {})]
