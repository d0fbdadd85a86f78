"""Options that are made from settings models, and the classes of commands and groups."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
import typer
from pydantic import BeforeValidator, Field, model_validator
from typer.testing import CliRunner

from earmark.cli.commands import App, Command
from earmark.cli.settings import Flag, options_from, with_options
from earmark.core.config import Seconds, Settings
from earmark.core.errors import InputError

SEEN: list[Any] = []


class Color(StrEnum):
    red = "red"
    blue = "blue"


class Grid(Settings):
    hop_s: float = Field(0.1, gt=0, description="Distance of segments.")
    depth: int = Field(2, ge=1, le=9)


class Everything(Settings):
    kind: Literal["everything"] = "everything"
    padding_s: Seconds = Field(0.5, description="Audio around a section.")
    count: int = Field(3, ge=1, le=10)
    is_mutual: bool = True
    unit: Literal["phones", "words"] = "phones"
    color: Color = Color.red
    languages: tuple[str, ...] = ("en", "de")
    numbers: frozenset[int] = frozenset()
    span: tuple[float, float] = (0.0, 1.0)
    place: Path | None = Field(None, description="A folder; none if not given.")
    most: Annotated[int, Field(ge=5)] | None = None
    gain_db: float = -3.0
    grid: Grid = Grid()
    other: Grid | None = None

    @model_validator(mode="after")
    def _check_count(self) -> Self:
        if self.count == 7:
            raise InputError("7 is taken", key="count")
        return self


class Required(Settings):
    name: str
    seed: int = 0


def application(function: Callable[..., object]) -> App:
    app = App(name="earmark")
    app.command()(function)
    app.command("other")(lambda: None)
    return app


@pytest.fixture
def everything() -> Any:
    """`everything(*arguments)`: the settings that a command gets."""

    @options_from(Everything, flags={"count": Flag("--number", short="-n"), "languages": Flag(separator=",")})
    def command(source: Path, settings: "Everything", seed: Annotated[int, typer.Option(help="Seed.")] = 1) -> None:
        """Show the settings."""
        SEEN[:] = [(source, settings, seed)]

    app = application(command)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["command", "here", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert SEEN[0][0] == Path("here")
        return SEEN[0][1]

    run.app = app  # type: ignore[attr-defined]
    return run


def test_without_options_the_settings_have_their_defaults(everything) -> None:
    assert everything() == Everything()
    assert everything().model_fields_set == set()


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--padding", "0.25"], "padding_s", 0.25),
        (["--number", "4"], "count", 4),
        (["-n", "4"], "count", 4),
        (["--no-mutual"], "is_mutual", False),
        (["--mutual"], "is_mutual", True),
        (["--unit", "words"], "unit", "words"),
        (["--color", "blue"], "color", Color.blue),
        (["--languages", "fr, it"], "languages", ("fr", "it")),
        (["--numbers", "1", "--numbers", "2"], "numbers", frozenset({1, 2})),
        (["--span", "0.5", "2"], "span", (0.5, 2.0)),
        (["--place", "there"], "place", Path("there")),
        (["--most", "5"], "most", 5),
        (["--gain=-6"], "gain_db", -6.0),
        (["--grid-hop", "0.2"], "grid", Grid(hop_s=0.2)),
        (["--other-depth", "4"], "other", Grid(depth=4)),
    ],
)
def test_an_option_sets_its_field_and_no_other(everything, arguments, field, value) -> None:
    settings = everything(*arguments)
    assert settings == Everything(**{field: value})
    assert settings.model_fields_set == {field}


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--padding", "-1"], "--padding"),
        (["--padding", "nan"], "--padding"),
        (["--number", "11"], "--number"),
        (["--number", "7"], "--number"),
        (["--most", "4"], "--most"),
        (["--grid-hop", "0"], "--grid-hop"),
        (["--numbers", "1", "--numbers", "x"], "--numbers"),
    ],
)
def test_a_value_that_the_model_refuses_names_the_option(everything, arguments, flag) -> None:
    result = CliRunner().invoke(everything.app, ["command", "here", *arguments])
    if isinstance(result.exception, SystemExit):  # typer itself reads the numbers
        assert result.exit_code == 2
        assert flag in result.stderr
    else:
        assert isinstance(result.exception, InputError)
        assert result.exception.key == flag
        assert "\n" not in str(result.exception)


@pytest.mark.parametrize("help_option", ["-h", "--help"])
def test_the_help_shows_description_default_range_unit_and_choices(everything, help_option, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    lines = CliRunner().invoke(everything.app, ["command", help_option]).output.splitlines()
    shown = {line.split()[1]: line for line in lines if line.startswith("│ ")}
    assert "SECONDS" in shown["--padding"]
    assert "Audio around a section. [default: 0.5; from 0]" in shown["--padding"]
    assert "default: 3; from 1, up to 10" in shown["--number"]
    assert "above 0" in shown["--grid-hop"]
    assert "phones|words" in shown["--unit"]
    assert "default: en,de" in shown["--languages"]
    assert "default" not in shown["--place"]
    assert "from 5" in shown["--most"]
    assert "DB" in shown["--gain"]
    assert "--no-mutual" in shown["--mutual"]
    assert "--kind" not in shown


def test_two_models_of_one_command_get_their_own_options() -> None:
    @options_from(Required, "one", flags={"name": "--title"})
    @options_from(Grid, "grid", prefix="grid-", without=["depth"], panel="Grid")
    def command(one: "Required", grid: "Grid") -> None:
        SEEN[:] = [one, grid]

    app = application(command)
    words = ["command", "--title", "a", "--seed", "4", "--grid-hop", "0.3"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert [Required(name="a", seed=4), Grid(hop_s=0.3)] == SEEN
    assert CliRunner().invoke(app, ["command"]).exit_code == 2
    assert CliRunner().invoke(app, [*words, "--grid-depth", "3"]).exit_code == 2


def test_the_function_itself_can_be_called_with_settings() -> None:
    @options_from(Grid)
    def command(settings: "Grid") -> Grid:
        return settings

    assert command(Grid(depth=3)) == Grid(depth=3)


class WithUnion(Settings):
    either: Grid | Required | None = None


class WithText(Settings):
    part: Annotated[Grid | int, BeforeValidator(lambda part: Grid() if part == "grid" else part)] = 1


def test_a_text_option_is_read_by_the_validator_of_the_field() -> None:
    @options_from(WithText, flags={"part": Flag(text=True, metavar="N|grid")})
    def command(settings: "WithText") -> None:
        SEEN[:] = [settings.part]

    for word, part in (("grid", Grid()), ("7", 7)):
        CliRunner().invoke(application(command), ["command", "--part", word], catch_exceptions=False)
        assert [part] == SEEN


@pytest.mark.parametrize(
    ("source", "how", "name"),
    [(WithUnion, {}, "either"), (Grid, {"without": ["dept"]}, "dept"), (Grid, {"flags": {"hop": "--hop"}}, "hop")],
)
def test_a_field_without_an_option_and_an_unknown_field_are_programming_errors(source, how, name) -> None:
    @options_from(source, **how)
    def command(settings: "Settings") -> None:
        pass

    with pytest.raises(TypeError, match=name):
        with_options(command)


def test_settings_are_imported_when_the_command_is_needed(tmp_path, monkeypatch) -> None:
    (tmp_path / "late_settings.py").write_text(
        "from earmark.core.config import Settings\n\n\nclass Late(Settings):\n    depth: int = 4\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    @options_from("late_settings:Late")
    def command(settings: "Settings") -> None:
        """Say nothing."""
        SEEN[:] = [settings]

    app = application(command)
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
    assert "late_settings" not in sys.modules
    assert "--depth" in CliRunner().invoke(app, ["command", "--help"]).output
    assert "late_settings" in sys.modules
    CliRunner().invoke(app, ["command", "--depth", "9"], catch_exceptions=False)
    assert SEEN[0].depth == 9
    del sys.modules["late_settings"]


@pytest.mark.parametrize(
    ("key", "shown"),
    [("padding_s", "--padding"), ("grid.hop_s", "--grid-hop"), ("seed", "--seed"), ("optimizer.lr", "optimizer.lr")],
)
def test_an_error_that_names_a_key_of_the_command_shows_its_option(key, shown) -> None:
    @options_from(Everything)
    def command(settings: "Everything", seed: int = 1) -> None:
        SEEN[:] = [settings, seed]
        raise InputError("cannot be", key=key)

    error = CliRunner().invoke(application(command), ["command"]).exception
    assert isinstance(error, InputError)
    assert (str(error), error.key, error.problem) == (f"{shown}: cannot be", shown, "cannot be")


def test_other_errors_stay_as_they_are() -> None:
    class Special(InputError):
        pass

    def command() -> None:
        raise Special("a.wav: broken")

    error = CliRunner().invoke(application(command), ["command"]).exception
    assert type(error) is Special
    assert str(error) == "a.wav: broken"


def test_a_mistyped_command_is_never_taken_for_a_destructive_one() -> None:
    app = App(name="keywords")
    for name in ("remove", "reembed", "show"):
        app.command(name)(lambda: None)
    for words, near in (("remov", ()), ("reembe", ("reembed",)), ("shw", ("show",))):
        result = CliRunner().invoke(app, [words])
        assert result.exit_code == 2
        assert "remove" not in result.stderr.replace(repr(words), "")
        assert all(repr(name) in result.stderr for name in near)


def test_commands_are_of_the_late_kind() -> None:
    group: Any = typer.main.get_command(application(lambda: None))
    assert all(isinstance(command, Command) for command in group.commands.values())
