"""Print what the functions are built for: ``target.py Architecture`` or ``target.py PythonRuntime``.

The value is that of the parameter in the samconfig*.toml files of the checkout, which `sam deploy` uses too.
Without one it is the default of template.yaml. Make's variables ARCHITECTURE and PYTHON_VERSION go before it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VARIABLES = {"Architecture": "ARCHITECTURE", "PythonRuntime": "PYTHON_VERSION"}


def target(name: str, root: Path = ROOT) -> str:
    """Return the value of a parameter of the template: the one that the SAM configuration files name.

    Raises:
        ValueError: they name several.
    """
    pattern = re.compile(rf"^[^#\n]*\b{name}=\\?[\"']?([\w.]+)", re.MULTILINE)
    files = sorted(root.glob("samconfig*.toml"))
    named = {value for file in files for value in pattern.findall(file.read_text(encoding="utf-8"))}
    if len(named) > 1:
        raise ValueError(
            f"the files {', '.join(file.name for file in files)} name several values of {name}: "
            f"{', '.join(sorted(named))}. Choose one, such as {VARIABLES[name]}={example(max(named))}"
        )
    return named.pop() if named else default(name, root)


def default(name: str, root: Path = ROOT) -> str:
    """Return the default of a parameter in template.yaml."""
    template = (root / "template.yaml").read_text(encoding="utf-8")
    found = re.search(rf"^  {name}:\n(?:    .*\n)*?    Default: (\S+)", template, re.MULTILINE)
    if found is None:
        raise ValueError(f"template.yaml has no default of {name}")
    return found[1]


def example(value: str) -> str:
    """Return a value as make's variables have it, such as ``3.12`` for ``python3.12``."""
    return value.removeprefix("python")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{example(target(sys.argv[1]))}\n")
    except ValueError as error:
        sys.exit(f"infra/build: {error}")
