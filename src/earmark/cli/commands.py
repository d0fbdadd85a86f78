"""The classes of commands and groups: options that are made late, ``-h``, and errors that name the option.

A group is an `App`, used like `typer.Typer`. Its commands are `Command`: typer looks at the signature of a command only
when that command runs or shows its help, and `earmark.cli.settings.options_from` works. Its groups are `Group`, which
never suggest a destructive command for a mistyped one.
"""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from earmark.cli.settings import with_options
from earmark.core.errors import InputError

Function = TypeVar("Function", bound=Callable[..., Any])

DESTRUCTIVE = frozenset({"remove"})
"""Commands that delete what a user made; a typing error never leads to them."""


class Command(TyperCommand):
    """A command that reads its function's parameters when they are needed."""

    _flags: dict[str, str] | None = None

    # Click assigns and reads both as attributes; whoever reads them first makes them.
    @property
    def params(self) -> list[Any]:
        """The options and arguments."""
        self._make()
        return self._params

    @params.setter
    def params(self, params: list[Any]) -> None:
        self._params = params

    @property
    def callback(self) -> Callable[..., Any] | None:
        """Runs the command with the values of `params`."""
        self._make()
        return self._callback

    @callback.setter
    def callback(self, callback: Callable[..., Any] | None) -> None:
        self._callback = callback

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an InputError whose key is one of its parameters or settings fields names the option."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            flag = self.flag_of(error.key)
            if flag is None:
                raise
            raise InputError(error.problem, key=flag) from error

    def flag_of(self, key: str) -> str | None:
        """The option of a parameter or settings field, None where the command has none."""
        self._make()
        return (self._flags or {}).get(key)

    def _make(self) -> None:
        function = getattr(self._callback, "function", None)
        if self._flags is not None or function is None:
            return
        made, settings_flags = with_options(function)
        app = typer.Typer(add_completion=False)
        app.command()(made)
        command = typer.main.get_command(app)
        self._params, self._callback = command.params, command.callback
        own = {param.name: max(param.opts, key=len) for param in self._params if param.param_type_name == "option"}
        self._flags = {**settings_flags, **own}


class Group(TyperGroup):
    """A group that never suggests a destructive command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first argument names.

        Raises:
            UsageError: no such command; names similar ones.
        """
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            near = get_close_matches(name, [one for one in self.list_commands(ctx) if one not in DESTRUCTIVE])
            cure = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
            ctx.fail(f"No such command {name!r}.{cure}")
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """A group of commands."""

    def __init__(self, **how: Any) -> None:
        super().__init__(cls=Group, context_settings={"help_option_names": ["-h", "--help"]}, **how)

    def command(self, name: str | None = None, **how: Any) -> Callable[[Function], Function]:
        """Register a command, as `typer.Typer.command` does."""
        register = super().command(name, cls=Command, **how)

        def registered(function: Function) -> Function:
            def late() -> None:
                """Stands for the function until its parameters are read."""

            late.__name__, late.__doc__ = function.__name__, inspect.getdoc(function)
            late.function = function  # type: ignore[attr-defined]
            register(late)
            return function

        return registered
