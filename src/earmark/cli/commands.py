"""Commands and groups of the command line, whose modules are imported only when they are needed.

A module declares its command with `command`; there is no other list of commands:

    @command(panel="Search", example="earmark search casa.wav")
    def search(recording: Path) -> None: ...

How imports stay lazy
---------------------
An `App` with a `package` reads these declarations from the source (`earmark.cli.declarations`). `Command` and `Group`
import the module only to run a command, to complete it, or to show its help; only then does typer read the signature
of a command, and `earmark.cli.settings.options_from` import settings. ``earmark --help`` imports typer, rich and the
modules of `earmark.cli` that every command needs.
"""

import inspect
import re
import sys
from collections.abc import Callable, MutableMapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from earmark.cli.declarations import Declaration, declarations
from earmark.core.errors import InputError

Function = TypeVar("Function", bound=Callable[..., Any])

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""The class of all usage errors, which typer does not export."""

DESTRUCTIVE = frozenset({"forget", "remove"})
"""Commands that delete a user's data; they are never suggested for a misspelled command."""


def command(name: str = "", *, panel: str = "", example: str = "") -> Callable[[Function], Function]:
    """Declare a function as a command. All arguments are literals, because they are read from the source.

    Args:
        name: name of the command; if empty, the name of the function.
        panel: panel of the command in the help of its group.
        example: command lines that the help shows, one per line.
    """
    del name, panel, example
    return lambda function: function


class Command(TyperCommand):
    """A command that imports its function and reads the parameters when they are needed."""

    _flags: dict[str, str] | None = None

    # Click assigns and reads `params` and `callback` as attributes; the first read imports the command.
    @property
    def params(self) -> list[Any]:
        """The options and arguments of the command; the first read imports its module."""
        self._make()
        return self._params

    @params.setter
    def params(self, params: list[Any]) -> None:
        self._params = params

    @property
    def callback(self) -> Callable[..., Any] | None:
        """The function that runs the command with the values of `params`."""
        self._make()
        return self._callback

    @callback.setter
    def callback(self, callback: Callable[..., Any] | None) -> None:
        self._callback = callback

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options and arguments.

        Raises:
            InputError: an argument is missing, or there are too many; the message shows an example.
            UsageError: an option is wrong.
        """
        try:
            return super().parse_args(ctx, args)
        except USAGE_ERROR as error:
            problem = error.format_message().rstrip(".")
            if not problem.startswith(("Missing argument", "Got unexpected extra argument")):
                raise
            example = re.search(r"\[bold\](.*?)\[/bold\]", self.epilog or "")
            cure = f"; for example: {example[1]}" if example else ""
            problem = problem.replace("Got unexpected extra argument(s) ", "Too many arguments ")
            raise InputError(f"{ctx.command_path}: {problem[0].lower()}{problem[1:]}{cure}") from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command; if the key of an InputError is a parameter or settings field, the error names its option."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            flag = self.flag_of(error.key)
            if flag is None:
                raise
            raise InputError(error.problem, key=flag) from error

    def flag_of(self, key: str) -> str | None:
        """Return the option of a parameter or settings field; None if the command has no option for it."""
        self._make()
        return (self._flags or {}).get(key)

    def _make(self) -> None:
        load = getattr(self._callback, "load", None)
        if self._flags is not None or load is None:
            return
        from earmark.cli.settings import with_options

        made, settings_flags = with_options(load())
        app = typer.Typer(add_completion=False)
        app.command()(made)
        command = typer.main.get_command(app)
        self._params, self._callback = command.params, command.callback
        own = {param.name: max(param.opts, key=len) for param in self._params if param.param_type_name == "option"}
        self._flags = {**settings_flags, **own}


class Group(TyperGroup):
    """A group of commands, which never suggests one that deletes data for a misspelled name."""

    _commands: MutableMapping[str, Any]
    source: ClassVar[Declaration | None] = None
    """Declaration of the group, if its module is imported late."""

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """The commands of the group by name; the first read imports its module."""
        if self.source is not None and not self._commands:
            self._commands = typer.main.get_group(_load(self.source)).commands
        return self._commands

    @commands.setter
    def commands(self, commands: MutableMapping[str, Any]) -> None:
        self._commands = commands

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first argument names.

        Raises:
            UsageError: there is no such command; the message names similar ones.
        """
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            near = get_close_matches(name, [one for one in self.list_commands(ctx) if one not in DESTRUCTIVE])
            cure = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
            ctx.fail(f"No such command {name!r}.{cure}")
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """A group of commands.

    Args:
        package: full name of the package whose modules declare commands; its source is read now. Empty for none.
        order: names of commands, which the help lists first and in this order.
        panel: panel of this group in the help of the outer group.
        how: further arguments of `typer.Typer`.
    """

    def __init__(self, *, package: str = "", order: Sequence[str] = (), panel: str = "", **how: Any) -> None:
        how = {"cls": Group, "no_args_is_help": True, "rich_help_panel": panel or None, **how}
        super().__init__(context_settings={"help_option_names": ["-h", "--help"]}, **how)
        if package:
            found = declarations(package, Path(str(sys.modules[package].__file__)).parent)
            place = {name: number for number, name in enumerate(order)}
            for one in sorted(found, key=lambda one: place.get(one.name, len(place))):
                self._add(one)

    def command(self, name: str | None = None, **how: Any) -> Callable[[Function], Function]:
        """Register a command, as `typer.Typer.command` does."""

        def registered(function: Function) -> Function:
            self._register(name or function.__name__, inspect.getdoc(function), lambda: function, **how)
            return function

        return registered

    def _add(self, declared: Declaration) -> None:
        panel = declared.panel or None
        if declared.is_group:
            late = type("LateGroup", (Group,), {"source": declared})
            self.add_typer(App(name=declared.name, help=declared.help, cls=late), rich_help_panel=panel)
            return
        examples = declared.example.splitlines()
        epilog = f"Example{'s' * (len(examples) > 1)}: " + ", ".join(f"[bold]{line}[/bold]" for line in examples)
        self._register(declared.name, declared.help, lambda: _load(declared), epilog=epilog, rich_help_panel=panel)

    def _register(self, name: str, doc: str | None, load: Callable[[], Any], **how: Any) -> None:
        def late() -> None:
            """Stand in for the function of the command, which is imported later."""

        late.__name__, late.__doc__ = name, _without_line_breaks(doc or "")
        late.load = load  # type: ignore[attr-defined]
        super().command(name, cls=Command, **how)(late)


def _without_line_breaks(doc: str) -> str:
    """Put each paragraph of a docstring on one line, so that the help fills its own width."""
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in doc.split("\n\n"))


def _load(declared: Declaration) -> Any:
    """Import the module of a declaration; returns the function of its command, or the `App` of its group."""
    return getattr(import_module(declared.module), declared.attribute)
