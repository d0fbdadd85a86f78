"""What tests of comparisons share: a small network that trains in a second, and the command."""

import pytest

SMALL = """
[augment]
kind = "one_of"
room.weight = 0.0
noise.weight = 0.0
music.weight = 0.0
speech.weight = 0.0
[episodes]
words = 0
utterances = 2
[optimizer]
steps = 4
[encoder]
kind = "res"
depth = 8
maps = 3
dimension = 6
"""


@pytest.fixture
def small():
    """Tables of a recipe; the last one is the encoder."""
    return SMALL


@pytest.fixture
def compare(folder, command_line):  # noqa: ARG001 - it is run there
    """`compare("recipes", …)`: exit code, stdout, stderr."""

    def command(*recipes):
        arguments = ("--protocol", "protocol.toml", "--out", "out", "--device", "cpu")
        return command_line("compare", *recipes, *arguments)

    return command
