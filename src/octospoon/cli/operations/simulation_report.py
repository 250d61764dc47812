"""The report of `octospoon simulate`: tables, a legend and files."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from rich import box
from rich.table import Table

from octospoon.cli.operations.plots import learning_curves
from octospoon.domain.batch.compose import CONTROL
from octospoon.training.evaluation.recommend import AS_GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from octospoon.cli.datasets.labelled import Source
    from octospoon.domain.evaluation.metrics import Interval
    from octospoon.training.evaluation.curves import Comparison, Curve, Until
    from octospoon.training.evaluation.recommend import Choice, Recommendation
    from octospoon.training.simulation import Plan


@dataclass(frozen=True)
class Wanted:
    """What to simulate.

    Attributes:
        strategies: names; random is always beside them.
        seeds: number of repetitions, each with its own split and draws.
        plans: the labelling rounds. Strategies are compared by the first; the others end at the same number
            of labels, with another batch size.
        workers: processes; the figures do not depend on it.
        folder: where the report goes.
        shown: numbers of labels that the tables show; a quarter, half and all of them if empty.
        target: an accuracy to reach; None if there is none.
    """

    strategies: Sequence[str]
    seeds: int
    plans: Sequence[Plan]
    workers: int
    folder: Path
    shown: Sequence[int] = ()
    target: float | None = None


@dataclass(frozen=True)
class Report:
    """The outcome of a simulation.

    Attributes:
        source: the images, with the chosen backbone.
        wanted: the strategies and the plans.
        curves: by strategy on the chosen backbone, random first.
        comparisons: of each strategy with random.
        verdict: on the strategies, in words.
        backbones: which backbone was chosen.
        controls: curves of random labels, by backbone.
        batches: which batch size was chosen.
        sized: curves of the chosen strategy, by batch size.
        recommendation: what to do.
    """

    source: Source
    wanted: Wanted
    curves: dict[str, Curve]
    comparisons: dict[str, Comparison]
    verdict: str
    backbones: Choice[str]
    controls: dict[str, Curve]
    batches: Choice[int]
    sized: dict[int, Curve]
    recommendation: Recommendation

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
    wanted = report.wanted.shown or [round(share * labels[-1]) for share in (0.25, 0.5, 1)]
    shown = sorted({_nearest(labels, n) for n in wanted})
    counts = [labels[at] for at in shown]
    heads = [*(f"{n} labels" for n in counts), "balanced"]
    rows = []
    for name, curve in report.curves.items():
        against = _against(report.comparisons[name]) if name in report.comparisons else ("100%", "")
        rows.append([name, *_cells(curve, counts), *against])
    title = f"{report.source.title}: held-out accuracy, {report.wanted.seeds} seeds"
    yield Figures(title, ["strategy", *heads, "labels needed", "lead, points"], rows)
    if len(report.controls) > 1:
        rows = [
            [name, *_cells(curve, counts), _lead(report.backbones, name)]
            for name, curve in report.controls.items()
        ]
        title = f"Backbones, with random labels; lead over {report.backbones.first}"
        yield Figures(title, ["backbone", *heads, "lead, points"], rows)
    if len(report.sized) > 1:
        rows = [
            [str(size), *_cells(curve, counts), _lead(report.batches, size)]
            for size, curve in report.sized.items()
        ]
        title = f"Images per round, with {report.recommendation.strategy}; lead over {report.batches.first}"
        yield Figures(title, ["batch", *heads, "lead, points"], rows)


def _cells(curve: Curve, counts: Sequence[int]) -> list[str]:
    """Return the accuracies at these labels, empty if not measured, and the last balanced accuracy."""
    places = {n: place for place, n in enumerate(curve.labels.tolist())}
    intervals = curve.intervals()
    cells = [""] * len(counts)
    for i, n in enumerate(counts):
        if n in places:
            mean = curve.mean[places[n]]
            cells[i] = f"{mean:.1%} ±{100 * (intervals[places[n]].high - mean):.1f}"
    return [*cells, "" if curve.balanced is None else f"{curve.balanced[:, -1].mean():.1%}"]


def _lead(choice: Choice[Any], name: str | int) -> str:
    comparison = choice.comparisons.get(name)
    return "" if comparison is None else _points(comparison.lead, comparison.lead_interval)


def tables(report: Report) -> Iterator[Table]:
    """Yield the tables for a terminal."""
    for each in figures(report):
        made = Table(title=each.title, box=box.SIMPLE, pad_edge=False)
        first, *others = each.columns
        made.add_column(first, no_wrap=True)
        for name in others:
            made.add_column(name, justify="right", min_width=max(map(len, name.split())))
        for row in each.rows:
            made.add_row(*row)
        yield made


def legend(report: Report) -> Iterator[str]:
    """Yield the lines that explain the table."""
    last, rules = report.labels[-1], report.wanted.plans[0].rules
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
    rules = report.wanted.plans[0].rules
    return {
        "source": report.source.title,
        "backbone": report.backbones.chosen,
        "notes": [*report.source.notes, *legend(report)],
        "images": len(report.source.data.labels),
        "held_out": len(report.source.split(0).held_out),
        "majority_share": report.majority,
        "seeds": report.wanted.seeds,
        "batch": rules.size,
        "audit_share": rules.audit_share,
        "verdict": report.verdict,
        "recommendation": _recommended(report.recommendation),
        "backbones": _alternatives(report.backbones, report.controls),
        "batches": _alternatives(report.batches, report.sized),
        "labels": report.labels,
        "strategies": {
            name: {
                **_curve(curve),
                "against_random": _compared(report.comparisons[name]) if name in report.comparisons else None,
            }
            for name, curve in report.curves.items()
        },
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "mean": curve.mean.tolist(),
        "interval": [asdict(interval) for interval in curve.intervals()],
        "balanced": None if curve.balanced is None else curve.balanced.mean(axis=0).tolist(),
    }


def _alternatives(choice: Choice[Any], curves: Mapping[Any, Curve]) -> dict[str, Any]:
    return {
        str(name): {
            "labels": curve.labels.tolist(),
            **_curve(curve),
            "against_first": _compared(choice.comparisons[name]) if name in choice.comparisons else None,
        }
        for name, curve in curves.items()
    }


def _recommended(recommendation: Recommendation) -> dict[str, Any]:
    return {
        **asdict(recommendation),
        "labels": _until(recommendation.labels),
        "random_labels": _until(recommendation.random_labels),
    }


def _until(until: Until | None) -> dict[str, Any] | None:
    return None if until is None else {"labels": until.labels, "interval": asdict(until.interval)}


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
