"""The report of `octospoon simulate`: a table, a legend and files."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from rich import box
from rich.table import Table

from octospoon.cli.operations.plots import learning_curves
from octospoon.domain.batch.compose import CONTROL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from octospoon.cli.datasets.labelled import Source
    from octospoon.domain.evaluation.metrics import Interval
    from octospoon.training.evaluation.curves import Comparison, Curve
    from octospoon.training.simulation import Plan


@dataclass(frozen=True)
class Wanted:
    """What to simulate.

    Attributes:
        strategies: names; random is always beside them.
        seeds: number of repetitions, each with its own split and draws.
        plan: the labelling rounds.
        workers: processes; the figures do not depend on it.
        folder: where the report goes.
    """

    strategies: Sequence[str]
    seeds: int
    plan: Plan
    workers: int
    folder: Path


@dataclass(frozen=True)
class Report:
    """The outcome of a simulation.

    Attributes:
        source: the images.
        wanted: the strategies and the plan.
        curves: by strategy, random first.
        comparisons: of each strategy with random.
        verdict: in words.
    """

    source: Source
    wanted: Wanted
    curves: dict[str, Curve]
    comparisons: dict[str, Comparison]
    verdict: str

    @property
    def labels(self) -> list[int]:
        """The numbers of labels that were measured."""
        return [int(n) for n in self.curves[CONTROL].labels]

    @property
    def majority(self) -> float:
        """The share of the most frequent class among the held-out images, on average over the seeds."""
        labels = self.source.data.labels
        held_out = [labels[self.source.split(seed).held_out] for seed in range(self.wanted.seeds)]
        return float(np.mean([np.bincount(part).max() / len(part) for part in held_out]))


def table(report: Report) -> Table:
    """Return the figures: a row for each strategy."""
    labels = report.labels
    shown = sorted({_nearest(labels, share * labels[-1]) for share in (0.25, 0.5, 1)})
    title = f"{report.source.title}: held-out accuracy, {report.wanted.seeds} seeds"
    made = Table(title=title, box=box.SIMPLE, pad_edge=False)
    made.add_column("strategy", no_wrap=True)
    for at in shown:
        made.add_column(f"{labels[at]} labels", justify="right")
    for name in ("balanced", "labels needed", "lead, points"):
        made.add_column(name, justify="right", min_width=max(map(len, name.split())))
    for name, curve in report.curves.items():
        intervals = curve.intervals()
        cells = [f"{curve.mean[at]:.1%} ±{100 * (intervals[at].high - curve.mean[at]):.1f}" for at in shown]
        balanced = "" if curve.balanced is None else f"{curve.balanced[:, -1].mean():.1%}"
        against = _against(report.comparisons[name]) if name in report.comparisons else ("100%", "")
        made.add_row(name, *cells, balanced, *against)
    return made


def legend(report: Report) -> Iterator[str]:
    """Yield the lines that explain the table."""
    last, rules = report.labels[-1], report.wanted.plan.rules
    yield (
        f"most frequent class: {report.majority:.1%} of the held-out images, which is the accuracy of always "
        "predicting it"
    )
    leads = ", ".join(
        f"{name} {_points(comparison.balanced_lead, comparison.balanced_interval)}"
        for name, comparison in report.comparisons.items()
        if comparison.balanced_lead is not None and comparison.balanced_interval is not None
    )
    yield (
        f"balanced: the mean of the accuracies of the classes at {last} labels; mean lead over random on the "
        f"whole curve: {leads}"
    )
    yield (
        f"labels needed: the share of labels at which a strategy is as accurate as random at {last} labels, "
        "on curves smoothed to never fall, with its 95 % interval"
    )
    yield (
        "lead: the mean difference from random over the whole curve, with a 95 % interval that holds for all "
        "strategies together"
    )
    if rules.audit:
        yield (
            f"a strategy trains on all but {rules.audit} of each {rules.size} labels, because these are the "
            "audit share; random trains on all of them"
        )


def write(report: Report) -> None:
    """Write the report's files into its folder."""
    folder = report.wanted.folder
    folder.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(document(report)))
    (folder / "simulation.json").write_bytes(content)
    with (folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["strategy", "seed", "labels", "accuracy", "balanced_accuracy"])
        writer.writerows(_rows(report))
    learning_curves(report.curves, report.source.title, report.majority, folder / "curves.png")


def document(report: Report) -> dict[str, Any]:
    """Return the figures as one document."""
    rules = report.wanted.plan.rules
    return {
        "source": report.source.title,
        "notes": [*report.source.notes, *legend(report)],
        "images": len(report.source.data.labels),
        "held_out": len(report.source.split(0).held_out),
        "majority_share": report.majority,
        "seeds": report.wanted.seeds,
        "batch": rules.size,
        "audit_share": rules.audit_share,
        "verdict": report.verdict,
        "labels": report.labels,
        "strategies": {
            name: {
                "mean": curve.mean.tolist(),
                "interval": [asdict(interval) for interval in curve.intervals()],
                "balanced": None if curve.balanced is None else curve.balanced.mean(axis=0).tolist(),
                "against_random": _compared(report.comparisons[name]) if name in report.comparisons else None,
            }
            for name, curve in report.curves.items()
        },
    }


def _compared(comparison: Comparison) -> dict[str, Any]:
    return asdict(comparison) | {"better": comparison.better, "worse": comparison.worse}


def _rows(report: Report) -> Iterator[Sequence[object]]:
    for name, curve in report.curves.items():
        for seed, accuracy in enumerate(curve.accuracy.tolist()):
            balanced = [np.nan] * len(accuracy) if curve.balanced is None else curve.balanced[seed].tolist()
            for n, a, b in zip(report.labels, accuracy, balanced, strict=True):
                yield name, seed, n, f"{a:.6f}", f"{b:.6f}"


def _nearest(labels: Sequence[int], wanted: float) -> int:
    return min(range(len(labels)), key=lambda i: abs(labels[i] - wanted))


def _against(comparison: Comparison) -> tuple[str, str]:
    lead = _points(comparison.lead, comparison.lead_interval)
    if np.isnan(comparison.labels_share):
        return "cannot be told", lead
    share = "not reached" if comparison.labels_share == np.inf else f"{comparison.labels_share:.0%}"
    low, high = comparison.labels_interval.low, comparison.labels_interval.high
    bounds = " to ".join("∞" if bound == np.inf else f"{bound:.0%}" for bound in (low, high))
    return f"{share} ({bounds})", lead


def _points(lead: float, interval: Interval) -> str:
    return f"{100 * lead:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
