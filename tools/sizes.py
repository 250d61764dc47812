"""Measure how large the modules, functions and folders of the source are.

    python -m tools.sizes

A function counts from its first decorator to its last line, with its docstring.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
MAX_FILE = 300
MAX_FUNCTION = 40
MAX_ENTRIES = 14
"""Modules and packages at the top of a layer, without its `__init__`."""
LAYERS = ("adapters", "cli", "domain", "training")


def problems(root: Path = ROOT) -> list[str]:
    """Return a line for each file, function or layer that is larger than its limit."""
    return [*_layers(root), *(line for file in _files(root) for line in _in_file(root, file))]


def _files(root: Path) -> Iterator[Path]:
    for folder in ("src", "functions"):
        yield from sorted((root / folder).rglob("*.py"))


def _layers(root: Path) -> Iterator[str]:
    for layer in LAYERS:
        folder = root / "src" / "octospoon" / layer
        entries = [path for path in folder.iterdir() if not path.name.startswith("__")]
        if len(entries) > MAX_ENTRIES:
            yield f"{layer}: {len(entries)} entries, at most {MAX_ENTRIES} are allowed"


def _in_file(root: Path, file: Path) -> Iterator[str]:
    source, name = file.read_text(), file.relative_to(root)
    if (lines := len(source.splitlines())) > MAX_FILE:
        yield f"{name}: {lines} lines, at most {MAX_FILE} are allowed"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if (lines := (node.end_lineno or first) - first + 1) > MAX_FUNCTION:
                yield f"{name}: {node.name} has {lines} lines, at most {MAX_FUNCTION} are allowed"


def main() -> int:
    """Print what is too large; return 1 if there is anything."""
    lines = problems()
    print("\n".join(lines) or "every file, function and layer is within its limit")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
