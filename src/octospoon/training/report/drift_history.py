"""Write the daily observations of `watch` as a table and a figure: drift tests and accuracy."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from octospoon.domain.monitoring.drift import FALSE_ALARMS, TESTS, Level
from octospoon.training.report.tables import write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.domain.monitoring.drift import DriftResult
    from octospoon.domain.monitoring.observations import ObservedDay
    from octospoon.domain.task_types.evaluator import Evaluator

_TESTS = ("drift", "images", "components_p", "probabilities_p", "classes_p", "discrepancy_p")
_TICKS = 10
_LEAST_P = 1e-6
"""Smaller p-values are drawn at this value."""


def write(folder: Path, days: Sequence[ObservedDay], evaluator: Evaluator) -> None:
    """Write ``drift.csv`` and ``drift.png`` into a folder; nothing if there are no days.

    Args:
        folder: an existing folder.
        days: the observations, oldest first.
        evaluator: of the task type, for the names of its metric.
    """
    if not days:
        return
    name = evaluator.metric_name
    write_table(
        folder / "drift.csv",
        ["day", "version", *_TESTS, name, f"{name}_low", f"{name}_high", "audit_labels"],
        ([day.day, day.version, *_tests(day.finding), *_accuracy(day.accuracy)] for day in days),
    )
    _draw(folder / "drift.png", days, evaluator.metric_title)


def _tests(result: DriftResult | None) -> Sequence[str]:
    if result is None:
        return [""] * len(_TESTS)
    asked = result.level is not Level.NONE
    ps = (result.components_p, result.probabilities_p, result.classes_p)
    discrepancy = f"{result.discrepancy_p:.6g}" if asked else ""
    return [result.level.value, str(result.images), *(f"{p:.6g}" for p in ps), discrepancy]


def _accuracy(estimate: Estimate | None) -> Sequence[str]:
    if estimate is None:
        return [""] * 4
    return [*(f"{x:.6g}" for x in (estimate.value, estimate.low, estimate.high)), str(estimate.labels)]


def _draw(path: Path, days: Sequence[ObservedDay], metric: str) -> None:
    from matplotlib.figure import Figure

    tested = any(day.finding for day in days)
    measured = any(day.accuracy for day in days)
    panels: list[Callable[[Axes, Sequence[ObservedDay]], None]] = [
        *([_draw_tests] if tested else []),
        *([partial(_draw_accuracy, metric=metric)] if measured else []),
    ]
    first, last = _at(days[0]), _at(days[-1])
    ticks = range(first, last + 1, 1 + (last - first) // _TICKS)
    figure = Figure(figsize=(9, 0.5 + 3.5 * len(panels)), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        panel(axes, days)
        _draw_versions(axes, days)
        axes.set_xlim(first - 1, last + 1)
        axes.set_xticks(ticks, [date.fromordinal(day).isoformat() for day in ticks], rotation=30, fontsize=8)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _draw_tests(axes: Axes, days: Sequence[ObservedDay]) -> None:
    results = [(_at(day), day.finding) for day in days if day.finding]
    tests = (
        ("embeddings", "o", [(at, result.components_p) for at, result in results]),
        ("predictions", "s", [(at, result.probabilities_p) for at, result in results]),
        ("predicted classes", "^", [(at, result.classes_p) for at, result in results]),
        (
            "discrepancy",
            "D",
            [(at, result.discrepancy_p) for at, result in results if result.level is not Level.NONE],
        ),
    )
    for name, marker, points in tests:
        if points:
            at, ps = zip(*points, strict=True)
            axes.plot(at, [max(p, _LEAST_P) for p in ps], marker, markersize=4, label=name)
    suspected, confirmed = FALSE_ALARMS / TESTS, FALSE_ALARMS
    axes.axhline(suspected, color="tab:orange", linestyle="--", label=f"suspected below {suspected:.3g}")
    axes.axhline(confirmed, color="tab:red", linestyle=":", label=f"discrepancy confirms below {confirmed:g}")
    confirmed_days = [at for at, result in results if result.level is Level.CONFIRMED]
    if confirmed_days:
        ones = [1.0] * len(confirmed_days)
        axes.plot(confirmed_days, ones, "v", color="tab:red", label="drift confirmed")
    axes.set(title="Uploads before each day, compared with those from before training")
    axes.set(yscale="log", ylim=(_LEAST_P / 2, 2.0), ylabel="p-value, corrected")


def _draw_accuracy(axes: Axes, days: Sequence[ObservedDay], metric: str) -> None:
    estimates = [(_at(day), day.accuracy) for day in days if day.accuracy]
    values = [100 * estimate.value for _, estimate in estimates]
    below = [max(0.0, 100 * (estimate.value - estimate.low)) for _, estimate in estimates]
    above = [max(0.0, 100 * (estimate.high - estimate.value)) for _, estimate in estimates]
    axes.errorbar(
        [at for at, _ in estimates],
        values,
        (below, above),
        fmt="o",
        capsize=3,
        markersize=4,
        label=metric,
    )
    title = f"{metric[0].upper()}{metric[1:]} of the model in service, 95 % interval"
    axes.set(title=title, ylabel=f"{metric}, %")


def _draw_versions(axes: Axes, days: Sequence[ObservedDay]) -> None:
    """Mark the first day of each version."""
    for before, day in zip([None, *days], days, strict=False):
        if before is None or before.version != day.version:
            axes.axvline(_at(day), color="grey", linewidth=0.8, alpha=0.6)
            at = (_at(day), 1.0)
            axes.annotate(
                f"v{day.version}",
                at,
                xycoords=("data", "axes fraction"),
                xytext=(2, -10),
                textcoords="offset points",
                fontsize=8,
                color="grey",
            )


def _at(day: ObservedDay) -> int:
    return date.fromisoformat(day.day).toordinal()
