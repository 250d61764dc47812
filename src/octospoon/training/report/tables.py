"""Tables of a report, as CSV files."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from octospoon.domain.evaluation.estimators import Estimate


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file in UTF-8.

    Args:
        path: of the file.
        header: names of the columns.
        rows: a cell for each column.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def share(value: float) -> str:
    """Return a share as a cell with four digits; empty if it is not finite."""
    return f"{value:.4f}" if math.isfinite(value) else ""


def shares(estimate: Estimate) -> list[str]:
    """Return the cells of an estimated share: the value, and the ends of its interval."""
    return [share(estimate.value), share(estimate.low), share(estimate.high)]
