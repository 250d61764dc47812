"""The tables of `octospoon simulate`, and the lines that explain them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from octospoon.domain.model_spec import SOFTMAX
from octospoon.training.evaluation.recommend import AS_GOOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from octospoon.cli.operations.simulation_result import Report
    from octospoon.domain.evaluation.metrics import Interval
    from octospoon.training.evaluation.curves import Comparison, Curve
    from octospoon.training.evaluation.recommend import Choice


class Figures(NamedTuple):
    """A table of figures.

    Attributes:
        title: says what is compared.
        columns: heads.
        rows: cells.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def figures(report: Report) -> Iterator[Figures]:
    """Yield the tables: strategies, and what else was compared."""
    labels = report.labels
    goals = report.simulation.shown or [round(share * labels[-1]) for share in (0.25, 0.5, 1)]
    shown = sorted({_nearest(labels, n) for n in goals})
    counts = [labels[at] for at in shown]
    balanced = ["balanced"] if any(curve.balanced is not None for curve in report.curves.values()) else []
    heads = [*(f"{n} labels" for n in counts), *balanced]
    rows = []
    for name, curve in report.curves.items():
        against = _against(report.comparisons[name]) if name in report.comparisons else ("100%", "")
        rows.append([name, *mean_cells(curve, counts), *against])
    title = f"{report.source.title}: held-out {report.metric}, {report.simulation.seeds} seeds"
    yield Figures(title, ["strategy", *heads, "labels needed", "lead, points"], rows)
    if len(report.controls) > 1:
        rows = [
            [name, *mean_cells(curve, counts), _lead(report.backbones, name)]
            for name, curve in report.controls.items()
        ]
        title = f"Backbones, with random labels; lead over {report.backbones.first}"
        yield Figures(title, ["backbone", *heads, "lead, points"], rows)
    if len(report.sized) > 1:
        rows = [
            [str(size), *mean_cells(curve, counts), _lead(report.batches, size)]
            for size, curve in report.sized.items()
        ]
        title = f"Images per round, with {report.recommendation.strategy}; lead over {report.batches.first}"
        yield Figures(title, ["batch", *heads, "lead, points"], rows)


def mean_cells(curve: Curve, counts: Sequence[int]) -> list[str]:
    """Return the metric at these labels, empty if not measured, and the last balanced accuracy, if any."""
    places = {n: place for place, n in enumerate(curve.labels.tolist())}
    intervals = curve.intervals()
    cells = [""] * len(counts)
    for i, n in enumerate(counts):
        if n in places:
            mean = curve.mean[places[n]]
            cells[i] = f"{mean:.1%} ±{100 * (intervals[places[n]].high - mean):.1f}"
    return cells if curve.balanced is None else [*cells, f"{curve.balanced[:, -1].mean():.1%}"]


def _lead(choice: Choice[Any], name: str | int) -> str:
    comparison = choice.comparisons.get(name)
    return "" if comparison is None else _points(comparison.lead, comparison.lead_interval)


def tables(given: Iterable[Figures]) -> Iterator[Table]:
    """Yield tables for a terminal."""
    for table in given:
        made = Table(title=table.title, box=box.SIMPLE, pad_edge=False)
        first, *others = table.columns
        made.add_column(first, no_wrap=True)
        for name in others:
            made.add_column(name, justify="right", min_width=max(map(len, name.split())))
        for row in table.rows:
            made.add_row(*row)
        yield made


def naive(report: Report) -> str:
    """Return the name of the model whose figure is `Report.majority`."""
    return "most frequent class" if report.source.data.activation == SOFTMAX else "every class everywhere"


def legend(report: Report) -> Iterator[str]:
    """Yield the lines that explain the table."""
    last, rules = report.labels[-1], report.simulation.plans[0].rules
    if report.source.data.activation == SOFTMAX:
        yield (
            f"most frequent class: {report.majority:.1%} of the held-out images, which is the accuracy of "
            "always predicting it"
        )
    else:
        yield f"every class predicted for every image: {report.metric} is {report.majority:.1%}"
    leads = ", ".join(
        f"{name} {_points(comparison.balanced_lead, comparison.balanced_interval)}"
        for name, comparison in report.comparisons.items()
        if comparison.balanced_lead is not None and comparison.balanced_interval is not None
    )
    if leads:
        yield (
            f"balanced: the mean of the accuracies of the classes at {last} labels; mean lead over random on "
            f"the whole curve: {leads}"
        )
    yield (
        f"labels needed: the share of labels at which a strategy reaches random's {report.metric} at {last} "
        "labels, on curves smoothed to never fall, with its 95 % interval"
    )
    yield (
        "lead: the mean difference from random over the whole curve, with a 95 % interval that holds for all "
        "strategies together"
    )
    if len(report.controls) > 1:
        yield "another backbone than the first is chosen only if the interval of its lead lies above zero"
    if len(report.sized) > 1:
        yield (
            f"another batch size than the first is chosen if it is smaller and the interval of its lead lies "
            f"above zero, or if it is larger and the interval lies above {-100 * AS_GOOD:.0f} point"
        )
    if rules.audit:
        yield (
            f"a strategy chooses all but {rules.audit} of each {rules.size} labels, because these are the "
            "audit share, which is drawn at random; it trains on all of them, as random does"
        )


def _nearest(labels: Sequence[int], target: float) -> int:
    return min(range(len(labels)), key=lambda i: abs(labels[i] - target))


def _against(comparison: Comparison) -> tuple[str, str]:
    return labels_needed(comparison), _points(comparison.lead, comparison.lead_interval)


def labels_needed(comparison: Comparison) -> str:
    """Return the share of labels with which a strategy reaches random's metric, with its interval."""
    if np.isnan(comparison.labels_share):
        return "cannot be told"
    share = "not reached" if comparison.labels_share == np.inf else f"{comparison.labels_share:.0%}"
    low, high = comparison.labels_interval.low, comparison.labels_interval.high
    bounds = " to ".join("∞" if bound == np.inf else f"{bound:.0%}" for bound in (low, high))
    return f"{share} ({bounds})"


def _points(lead: float, interval: Interval) -> str:
    return f"{100 * lead:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
