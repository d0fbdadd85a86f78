"""Command-line options made from the fields of settings models.

How commands read settings
--------------------------
A command has one parameter per settings model, and `options_from` names the model:

```python
@options_from("earmark.data.vad:VadSettings")
def vad(source: ..., out: ..., settings: "VadSettings", workers: ...) -> None:
    sections = find_sections(read_manifest(source), settings)
```

Each field becomes an option; nothing about it is repeated in the command:

| the field | the option |
|---|---|
| name ``min_speech_s``, ``is_mutual`` | ``--min-speech``, ``--mutual``: without the unit, and without ``is_`` |
| unit ``_s``, ``_ms``, ``_db``, ``_hz``, ``_h`` | metavar ``SECONDS``, ``MS``, ``DB``, ``HZ``, ``HOURS`` |
| ``Field(description=…)`` | help |
| default | shown in the help; a default of None is shown by the description: "…; all if not given." |
| ``ge``, ``gt``, ``le``, ``lt`` | shown in the help, checked by the model |
| ``bool`` | ``--x/--no-x`` |
| ``Literal``, ``StrEnum`` | choices |
| ``tuple[X, ...]``, ``list[X]`` | may be repeated; with `Flag.separator`, one text such as ``a,b`` |
| ``tuple[X, Y]`` | two values |
| a nested model | an option per field, with the name of the outer field in front: ``--grid-hop`` |
| ``kind: Literal["one"]`` | no option |
| a union of models, or another type | a TypeError, until the field is in `without` or has `Flag.text` |

Other names for the command line are written at the command, never in the library:

```python
@options_from(
    "earmark.data.segments.ngrams:NgramRules",
    "rules",
    flags={"gap_s": "--pause", "n": Flag(metavar="N|N-N", separator="-")},
    without=["seed"],
)
```

A command with several models has one decorator per model, each with the name of its parameter; `prefix` separates
their options. Only options that the user gave reach the model, so `settings.model_fields_set` lists them, and a command
can apply them to other settings: ``known.model_copy(update=settings.model_dump(exclude_unset=True))``.

A value that the model rejects is an InputError that names the option: ``--min-speech: must be greater than or equal to
0, not -1``. A validator rejects a combination of fields with ``raise InputError("…", key="n")``. Any other InputError
whose ``key`` is a parameter or a settings field of the running command is shown with its option, too
(`earmark.cli.commands.Command`), so a library names only the key.

An option that belongs to no settings model is ``Annotated[…, typer.Option(…)]``, with its real default.

How imports stay lazy
---------------------
``"module:Class"`` is a reference. It is imported when the options of this command are needed: to run it, to complete
it, or to show its help. ``earmark --help`` and the help of a group import neither settings nor the modules of the
commands (see `earmark.cli.commands`). A class in place of the reference works where its import is cheap.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from earmark.core.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

Function = TypeVar("Function", bound=Callable[..., Any])

UNITS = {"s": "SECONDS", "ms": "MS", "db": "DB", "hz": "HZ", "h": "HOURS"}
"""Metavars of options, by the suffix of their field."""

_ATTRIBUTE = "settings_options"


@dataclass(frozen=True)
class Flag:
    """How a command-line option differs from the one that its settings field implies.

    Attributes:
        name: name of the option, such as ``--neighbors`` or ``--exact/--fast``; made from the field if empty.
        short: a second, short name, such as ``-k``.
        metavar: placeholder of the value in the help; made from the unit of the field if empty.
        panel: panel of the option in the help.
        separator: text between the items of a tuple or list that is written as one text, such as ``,``.
        text: the option is a text that the field's own validator reads.
        is_hidden: the help does not list the option.
    """

    name: str = ""
    short: str = ""
    metavar: str = ""
    panel: str = ""
    separator: str = ""
    text: bool = False
    is_hidden: bool = False


@dataclass(frozen=True)
class SettingsOption:
    """The command-line option of one settings field.

    Attributes:
        key: path of the field in its model, such as ``grid.hop_s``.
        name: of the parameter that typer makes the option from.
        flag: the option, as errors show it.
        annotation: type and help, as typer reads them.
        is_required: the field has no default.
        separator: see `Flag`.
    """

    key: str
    name: str
    flag: str
    annotation: Any
    is_required: bool
    separator: str

    @property
    def parameter(self) -> inspect.Parameter:
        """The parameter of the command's signature from which typer makes the option."""
        default = inspect.Parameter.empty if self.is_required else None
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=self.annotation)


@dataclass(frozen=True)
class SettingsOptions:
    """The command-line options of one settings model.

    Attributes:
        source: the model, or a reference ``"module:Class"``.
        parameter: parameter of the command to which the settings are passed.
        flags: differences of options, by the path of their field.
        without: paths of fields that have no option.
        prefix: beginning of the name of each option.
        panel: panel of the options in the help.
    """

    source: "str | type[BaseModel]"
    parameter: str = "settings"
    flags: Mapping[str, Flag] = field(default_factory=dict)
    without: Collection[str] = ()
    prefix: str = ""
    panel: str = ""

    def model(self) -> "type[BaseModel]":
        """The settings model; a reference is imported now."""
        if not isinstance(self.source, str):
            return self.source
        module, _, name = self.source.partition(":")
        model: type[BaseModel] = getattr(import_module(module), name)
        return model

    def options(self) -> list[SettingsOption]:
        """Make the option of each field of the model.

        Raises:
            TypeError: a field has no option, or `flags` and `without` name a field that does not exist.
        """
        model = self.model()
        fields = dict(_fields(model, "", self.without))
        unknown = {*self.flags, *self.without} - {*fields, *_paths(model, "")}
        if unknown:
            raise TypeError(f"{model.__name__} has no field {', '.join(sorted(unknown))}")
        return [self._option(key, about) for key, about in fields.items()]

    def read(self, options: Sequence[SettingsOption], values: Mapping[str, Any]) -> "BaseModel":
        """Make settings from the values of the options.

        Args:
            options: the options of this model.
            values: values by the name of the option's parameter; None or an empty list for an option that is not given.

        Raises:
            InputError: the model refuses a value; the key is the option.
        """
        from pydantic import ValidationError

        table: dict[str, Any] = {}
        for option in options:
            value = values[option.name]
            if value is None or value == []:
                continue
            if option.separator:
                value = [part.strip() for part in value.split(option.separator) if part.strip()]
            *outer, last = option.key.split(".")
            inside = table
            for part in outer:
                inside = inside.setdefault(part, {})
            inside[last] = value
        try:
            return self.model().model_validate(table)
        except ValidationError as error:
            key, problem = first_problem(error)
            flags = {option.key: option.flag for option in options}
            raise InputError(problem, key=flags.get(key, key)) from None

    def _option(self, key: str, about: "FieldInfo") -> SettingsOption:
        flag = self.flags.get(key, Flag())
        annotation, metadata = _plain(about.annotation, about.metadata)
        kind = str if flag.text or flag.separator else _option_type(annotation)
        if kind is None:
            raise TypeError(f"{key}: no option for {annotation}; put it into `without`, or give it a Flag with `text`")
        name, unit = _name_and_unit(key)
        names = [flag.name or _declared(f"--{self.prefix}{name}", kind), flag.short]
        shown = typer.Option(
            *filter(None, names),
            help=_help(about, metadata, flag),
            metavar=flag.metavar or unit,
            show_default=False,  # it is in the help text
            rich_help_panel=flag.panel or self.panel or None,
            hidden=flag.is_hidden,
        )
        is_required = about.is_required() and "." not in key
        return SettingsOption(
            key,
            f"{self.parameter}__{key.replace('.', '__')}",
            names[0].split("/")[0],
            Annotated[kind if is_required else kind | None, shown],
            is_required,
            flag.separator,
        )


def options_from(
    source: "str | type[BaseModel]",
    parameter: str = "settings",
    *,
    flags: Mapping[str, str | Flag] | None = None,
    without: Collection[str] = (),
    prefix: str = "",
    panel: str = "",
) -> Callable[[Function], Function]:
    """Give a command the options of a settings model, and pass the settings to one parameter.

    Args:
        source: the model; or a reference ``"module:Class"``, imported when the options are needed.
        parameter: parameter of the command to which the settings are passed. Its annotation is not evaluated.
        flags: differences between options and their fields, by the path of the field; a text is the option's name.
        without: paths of fields that have no option; of a nested model, all its fields.
        prefix: beginning of the name of each option, such as ``grid-``.
        panel: panel of all options in the help.

    The function itself stays as it is, so that tests may call it with settings.
    """
    given = {key: Flag(flag) if isinstance(flag, str) else flag for key, flag in (flags or {}).items()}
    group = SettingsOptions(source, parameter, given, without, prefix, panel)

    def decorate(function: Function) -> Function:
        function.__dict__.setdefault(_ATTRIBUTE, {})[parameter] = group
        return function

    return decorate


def with_options(function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, str]]:
    """Replace each settings parameter of a command by one parameter per option.

    Imports the settings models.

    Returns:
        The function for typer, and options by the key of the settings field.
    """
    groups: dict[str, SettingsOptions] = getattr(function, _ATTRIBUTE, {})
    if not groups:
        return function, {}
    options = {name: group.options() for name, group in groups.items()}

    def command(**values: Any) -> Any:
        own = {name: value for name, value in values.items() if name in own_names}
        settings = {name: group.read(options[name], values) for name, group in groups.items()}
        return function(**own, **settings)

    parameters = inspect.signature(function).parameters
    own_names = [name for name in parameters if name not in groups]
    raw = {name: parameters[name].annotation for name in own_names}
    hints = get_type_hints(SimpleNamespace(__annotations__=raw), function.__globals__, include_extras=True)
    shown: list[inspect.Parameter] = []
    for name, parameter in parameters.items():
        if name in groups:
            shown += [option.parameter for option in options[name]]
        else:
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))
    command.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command, {option.key: option.flag for group in options.values() for option in group}


def first_problem(error: "ValidationError") -> tuple[str, str]:
    """Return the key and the problem of the first error of a validation, the problem in one line."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):  # raised by a validator of ours
        return ".".join(filter(None, [key, cause.key])), cause.problem
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    value = first["input"]
    shown = f", not {value}" if isinstance(value, str | int | float | Path) else ""
    return key, f"{message[0].lower()}{message[1:]}{shown}"


def _fields(model: "type[BaseModel]", outer: str, without: Collection[str]) -> "Iterator[tuple[str, FieldInfo]]":
    """Yield path and field of each option of a model and of its nested models."""
    for name, about in model.model_fields.items():
        key = f"{outer}{name}"
        annotation, _ = _plain(about.annotation, ())
        if key in without or (name == "kind" and len(get_args(annotation)) == 1):
            continue
        if hasattr(annotation, "model_fields"):
            yield from _fields(annotation, f"{key}.", without)
        else:
            yield key, about


def _paths(model: "type[BaseModel]", outer: str) -> Iterator[str]:
    for name, about in model.model_fields.items():
        yield f"{outer}{name}"
        annotation, _ = _plain(about.annotation, ())
        if hasattr(annotation, "model_fields"):
            yield from _paths(annotation, f"{outer}{name}.")


def _plain(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Remove `None` and annotations from a type; returns the plain type, and the annotations as a list."""
    gathered = list(metadata)
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            for one in more:
                gathered += getattr(one, "metadata", [one])  # a FieldInfo has its own
        elif get_origin(annotation) in {Union, UnionType}:
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) != 1:
                return annotation, gathered
            annotation = members[0]
        else:
            return annotation, gathered


def _option_type(annotation: Any) -> Any:
    """Return the type of an option, as typer reads it; None if typer cannot read this type."""
    if annotation in {bool, int, float, str, Path} or get_origin(annotation) is Literal:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation
    origin, items = get_origin(annotation), get_args(annotation)
    if origin in {list, set, frozenset} or (origin is tuple and items[1:] == (...,)):
        item = _option_type(_plain(items[0], ())[0])
        return None if item is None else list[item]  # type: ignore[valid-type]
    if origin is tuple and all(_option_type(item) is not None for item in items):
        return annotation
    return None


def _name_and_unit(key: str) -> tuple[str, str | None]:
    """Return the name of the option of a field, and the metavar of its unit.

    >>> _name_and_unit("grid.hop_s"), _name_and_unit("is_mutual")
    (('grid-hop', 'SECONDS'), ('mutual', None))
    """
    *outer, name = key.split(".")
    stem, _, suffix = name.rpartition("_")
    unit = UNITS.get(suffix) if stem else None
    name = stem if unit else name.removeprefix("is_")
    return "-".join([*outer, name]).replace("_", "-"), unit


def _declared(name: str, kind: Any) -> str:
    return f"{name}/--no-{name.removeprefix('--')}" if kind is bool else name


def _help(about: "FieldInfo", metadata: Sequence[Any], flag: Flag) -> str:
    """Write the help of an option: description, default and range of its field, as rich markup."""
    facts = []
    if not about.is_required():
        default = about.get_default(call_default_factory=True, validated_data={})
        if default is not None and default != () and default != []:
            facts.append(f"default: {_text(default, flag)}")
    bounds = ", ".join(
        f"{words} {bound:g}"
        for name, words in (("ge", "from"), ("gt", "above"), ("le", "up to"), ("lt", "below"))
        for bound in (getattr(one, name, None) for one in metadata)
        if bound is not None
    )
    facts += [bounds] if bounds else []
    description = about.description or ""
    return f"{description} [dim]\\[{'; '.join(facts)}][/dim]" if facts else description


def _text(default: Any, flag: Flag) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, list | tuple | set | frozenset):
        return (flag.separator or " ").join(map(str, default))
    return str(default.value if isinstance(default, Enum) else default)
