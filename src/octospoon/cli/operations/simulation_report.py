"""The report of `octospoon simulate`: its figures and files."""

from __future__ import annotations

import csv
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.cli.operations import simulation_tables
from octospoon.cli.operations.plots import learning_curves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from octospoon.cli.operations.simulation_result import Report
    from octospoon.training.evaluation.curves import Comparison, Curve, Until
    from octospoon.training.evaluation.recommend import Choice, Recommendation


def write(report: Report) -> None:
    """Write the report's files into its folder."""
    folder = report.simulation.folder
    folder.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(document(report)))
    (folder / "simulation.json").write_bytes(content)
    with (folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        metric = report.source.data.task.evaluator.metric_name
        writer.writerow(["strategy", "seed", "labels", metric, "balanced_accuracy"])
        writer.writerows(_rows(report))
    naive = simulation_tables.naive(report), report.majority
    learning_curves(report.curves, report.source.title, naive, folder / "curves.png")


def document(report: Report) -> dict[str, Any]:
    """Return the figures as one document."""
    rules = report.simulation.plans[0].rules
    return {
        "source": report.source.title,
        "backbone": report.backbones.chosen,
        "notes": [*report.source.notes, *simulation_tables.legend(report)],
        "images": len(report.source.data.labels),
        "held_out": len(report.source.split(0).held_out),
        "metric": report.metric,
        "majority_share": report.majority,
        "seeds": report.simulation.seeds,
        "batch": rules.size,
        "audit_share": rules.audit_share,
        "verdict": report.verdict,
        "recommendation": _recommended(report.recommendation),
        "backbones": _alternatives(report.backbones, report.controls),
        "batches": _alternatives(report.batches, report.sized),
        "labels": report.labels,
        "strategies": {
            name: {
                **curve_document(curve),
                "against_random": compared(report.comparisons[name]) if name in report.comparisons else None,
            }
            for name, curve in report.curves.items()
        },
    }


def curve_document(curve: Curve) -> dict[str, Any]:
    """Return the means of a curve, with their intervals."""
    return {
        "mean": curve.mean.tolist(),
        "interval": [asdict(interval) for interval in curve.intervals()],
        "balanced": None if curve.balanced is None else curve.balanced.mean(axis=0).tolist(),
    }


def _alternatives(choice: Choice[Any], curves: Mapping[Any, Curve]) -> dict[str, Any]:
    return {
        str(name): {
            "labels": curve.labels.tolist(),
            **curve_document(curve),
            "against_first": compared(choice.comparisons[name]) if name in choice.comparisons else None,
        }
        for name, curve in curves.items()
    }


def _recommended(recommendation: Recommendation) -> dict[str, Any]:
    return {
        **asdict(recommendation),
        "labels": until(recommendation.labels),
        "random_labels": until(recommendation.random_labels),
    }


def until(given: Until | None) -> dict[str, Any] | None:
    """Return the number of labels until a metric is reached."""
    return None if given is None else {"labels": given.labels, "interval": asdict(given.interval)}


def compared(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison with random."""
    return asdict(comparison) | {"better": comparison.better, "worse": comparison.worse}


def _rows(report: Report) -> Iterator[Sequence[object]]:
    for name, curve in report.curves.items():
        for seed, accuracy in enumerate(curve.accuracy.tolist()):
            balanced = [np.nan] * len(accuracy) if curve.balanced is None else curve.balanced[seed].tolist()
            for n, a, b in zip(report.labels, accuracy, balanced, strict=True):
                yield name, seed, n, f"{a:.6f}", f"{b:.6f}"
