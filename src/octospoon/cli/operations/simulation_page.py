"""The page of `octospoon simulate`: the recommendation, and what it rests on, in one HTML file."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from octospoon.cli.operations import simulation_tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.cli.operations.simulation_result import Report
    from octospoon.cli.operations.simulation_tables import Figures

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 1.5rem auto;
  padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.15rem; margin: 0 0 .6rem } h2 { font-size: 1rem; margin: 1.1rem 0 .3rem }
.advice { font-size: 1.15rem; border-left: .3rem solid #2f6fb0; background: #eef4fa;
  padding: .7rem 1rem; margin: 0 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #d5dae0; white-space: nowrap }
th { white-space: normal; vertical-align: bottom } th:first-child, td:first-child { text-align: left }
img { width: 100%; height: auto; margin-top: .6rem }
ul { padding-left: 1.1rem; margin: .4rem 0; font-size: .85rem }
@page { size: A4; margin: 12mm } @media print { body { margin: 0; font-size: 12px; max-width: none } }
"""


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows.

    Attributes:
        title: of the page.
        advice: the recommendation.
        figures: the tables.
        alternative: the text in the place of the plot.
        notes: lines that explain the rest.
    """

    title: str
    advice: str
    figures: Sequence[Figures]
    alternative: str
    notes: Sequence[str]


def page_of(report: Report) -> Page:
    """Return the page of a simulation with classes."""
    return Page(
        f"Simulated labelling: {report.source.title}",
        report.recommendation.sentence,
        tuple(simulation_tables.figures(report)),
        f"{report.metric} by number of labels",
        (report.verdict, *report.source.notes, *simulation_tables.legend(report)),
    )


def write(page: Page, folder: Path) -> None:
    """Write ``report.html`` into the folder of a report, with the plot that is there."""
    plot = base64.b64encode((folder / "curves.png").read_bytes()).decode()
    title = escape(page.title)
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style>",
        f'<h1>{title}</h1><p class="advice">{escape(page.advice)}</p>',
        *map(_table, page.figures),
        f'<img alt="{escape(page.alternative)}" src="data:image/png;base64,{plot}">',
        "<ul>",
        *(f"<li>{escape(note)}</li>" for note in page.notes),
        "</ul></html>",
    ]
    (folder / "report.html").write_text("\n".join(parts) + "\n", encoding="utf-8")


def _table(figures: Figures) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in figures.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in figures.rows
    )
    return (
        f'<h2>{escape(figures.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
