"""Tables as files: CSV, and Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    Cell = str | int | float | bool | None
    Row = Mapping[str, Cell]

_AT_ONCE = 10_000
_ARROW = {str: "string", int: "int64", float: "double", bool: "bool"}


def write_csv(path: Path, columns: Mapping[str, type], rows: Iterable[Row]) -> int:
    """Write rows as CSV in UTF-8, with a line of column names; return the number of rows.

    Args:
        path: of the file.
        columns: type of each column by its name, in order.
        rows: a value for each column; None leaves a cell empty.
    """
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        for row in rows:
            table.writerow([_text(row[name]) for name in columns])
            written += 1
    return written


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def write_parquet(path: Path, columns: Mapping[str, type], rows: Iterable[Row]) -> int:
    """Write rows as Parquet, in groups of 10,000; return the number of rows. It needs pyarrow.

    Args:
        path: of the file.
        columns: type of each column by its name, in order.
        rows: a value for each column; None is a missing value.
    """
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, _ARROW[kind]) for name, kind in columns.items()])
    written = 0
    with parquet.ParquetWriter(path, schema) as file:
        for part in _parts(rows):
            file.write_table(pyarrow.Table.from_pylist(part, schema))
            written += len(part)
    return written


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while part := list(islice(rest, _AT_ONCE)):
        yield part
