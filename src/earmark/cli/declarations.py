"""Find the commands of a package in its source, without importing them.

A module declares a command with `earmark.cli.commands.command`, and a group with ``app = App(...)``. Both are read with
`ast`, so their arguments are literals. `earmark --help` therefore imports no command.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pkgutil import iter_modules

# Parsing only the head of a command, from its decorator to its docstring, takes a third of the time of parsing all of
# its source.
_COMMAND = r'@command\(.*?^    """.*?"""'
_GROUP = r"app = App\((?:[^\n]*\)|.*?^\))"
_DECLARED = re.compile(f"^(?:{_COMMAND}|{_GROUP})$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Declaration:
    """A command or a group, as its module declares it.

    Attributes:
        name: what the user types.
        module: full name of the module.
        attribute: name of the function, or of the `App` of a group, in the module.
        is_group: whether it is a group.
        help: docstring of the command, or help text of the group.
        panel: panel in the help of the outer group; empty for the first panel.
        example: command lines, one per line.
    """

    name: str
    module: str
    attribute: str
    is_group: bool = False
    help: str = ""
    panel: str = ""
    example: str = ""


def declarations(package: str, folder: Path) -> list[Declaration]:
    """List the commands and groups that the modules of a package declare, by module name and then source order.

    Args:
        package: full name of the package.
        folder: folder of its source.
    """
    found: list[Declaration] = []
    for module in iter_modules([str(folder)]):
        path = folder / module.name / "__init__.py" if module.ispkg else folder / f"{module.name}.py"
        for source in _DECLARED.findall(path.read_text(encoding="utf-8")):
            found += _declared(f"{package}.{module.name}", ast.parse(source, str(path)))
    return found


def _declared(module: str, tree: ast.Module) -> Iterator[Declaration]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=function, decorator_list=[ast.Call(func=ast.Name(id="command")) as call, *_]):
                name = _arguments(call).get("name", function.strip("_").replace("_", "-"))
                attribute, text = function, ast.get_docstring(node) or ""
            case ast.Assign(targets=[ast.Name(id="app")], value=ast.Call(func=ast.Name(id="App")) as call):
                name, attribute, text = _arguments(call)["name"], "app", _arguments(call)["help"]
            case _:
                continue
        panel, example = (_arguments(call).get(key, "") for key in ("panel", "example"))
        yield Declaration(name, module, attribute, attribute == "app", text, panel, example)


def _arguments(call: ast.Call) -> dict[str, str]:
    """Return the string literals among the arguments of a call, by keyword; a positional one is the `name`."""
    arguments = dict(zip(["name"], call.args, strict=False)) | {str(one.arg): one.value for one in call.keywords}
    return {
        name: one.value
        for name, one in arguments.items()
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }
