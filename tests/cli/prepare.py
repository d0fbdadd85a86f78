"""`earmark prepare` in this process."""

from typer.testing import CliRunner

from earmark.cli.prepare import app


def run(*words: object) -> str:
    """The standard output of a command that must succeed."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout
