"""Tables whose every row stays one line, so that they can be searched line by line."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

_WIDEST = 10_000


def table(*columns: str) -> Table:
    """Return a table without borders; a terminal may break its lines."""
    return Table(*columns, box=None, pad_edge=False)


def show_json(found: object) -> None:
    """Print what a table would show as indented JSON, for programs."""
    print(msgspec.json.format(msgspec.json.encode(found)).decode())


def show(shown: Table) -> None:
    """Print a table, each row on a line of its own however long that is."""
    Console(width=_WIDEST, highlight=False).print(shown)
