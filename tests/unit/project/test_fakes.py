"""The fakes share no code with the adapters, so that they do not share their faults."""

from __future__ import annotations

import ast
from pathlib import Path

FAKES = Path(__file__).parents[2] / "fakes"


def test_fakes_import_no_adapters():
    imported = {
        name
        for file in FAKES.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }

    assert "octospoon.domain.errors" in imported
    assert not [name for name in imported if name.startswith("octospoon.adapters")]
