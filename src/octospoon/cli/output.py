"""The output of commands: plain lines, tables with one line per row, JSON, and progress.

Rich is imported when something is printed, so that `octospoon --version` does not wait for it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console, RenderableType
    from rich.table import Table

_WIDEST = 10_000


def print_line(text: str) -> None:
    """Print a line as it is: without markup, colours or line breaks of its own."""
    _console().print(text, soft_wrap=True, markup=False, highlight=False)


def print_error_line(text: str) -> None:
    """Print a line to standard error, where it does not mix with what a program reads."""
    from rich.console import Console

    Console(stderr=True).print(text, soft_wrap=True, markup=False, highlight=False)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as they are."""
    console = _console()
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def print_json(value: object) -> None:
    """Print a value as one indented JSON document, for programs."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode())


def print_json_line(value: object) -> None:
    """Print a value as JSON on one line, for programs."""
    import msgspec

    print(msgspec.json.encode(value, enc_hook=str).decode(), flush=True)


def line_table(*columns: str) -> Table:
    """Return a table without borders, for `print_line_table`."""
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False)


def print_line_table(table: Table) -> None:
    """Print a table with each row on a line of its own, however long, so that `grep` finds whole rows."""
    from rich.console import Console

    Console(width=_WIDEST, highlight=False).print(table)


def print_tables(*tables: RenderableType) -> None:
    """Print tables one below the other, as wide as the terminal."""
    from rich.console import Group

    _console().print(Group(*tables))


def timed_progress() -> Callable[[str], None]:
    """Return a function that prints a line with the seconds since now before it."""
    from rich.markup import escape

    console, started = _console(), time.monotonic()

    def report(line: str) -> None:
        elapsed = f"[dim]{time.monotonic() - started:4.0f} s[/dim]"
        console.print(f"{elapsed}  {escape(line)}", highlight=False, soft_wrap=True)

    return report


def _console() -> Console:
    from rich.console import Console

    return Console()
