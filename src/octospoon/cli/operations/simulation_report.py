"""The report of `octospoon simulate`: its figures and files."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.cli.operations import simulation_tables
from octospoon.cli.operations.plots import learning_curves
from octospoon.domain.batch.compose import CONTROL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from octospoon.cli.datasets.labelled import Source
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
        "notes": [*report.source.notes, *simulation_tables.legend(report)],
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
