"""What watching saw day by day, as a table and a picture: the tests of drift, and accuracy."""

from __future__ import annotations

import csv
from datetime import date
from typing import TYPE_CHECKING

from octospoon.domain.monitoring.drift import FALSE_ALARMS, TESTS, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.domain.monitoring.drift import DriftResult
    from octospoon.domain.monitoring.observations import ObservedDay

_COLUMNS = (
    *("day", "version", "drift", "images", "components_p", "probabilities_p", "classes_p", "discrepancy_p"),
    *("accuracy", "accuracy_low", "accuracy_high", "audit_labels"),
)
_TICKS = 10
_LEAST_P = 1e-6
"""Smaller ones are drawn here: how much smaller says nothing more."""


def write(folder: Path, days: Sequence[ObservedDay]) -> None:
    """Write ``drift.csv`` and ``drift.png``; nothing where no day is known."""
    if not days:
        return
    with (folder / "drift.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for one in days:
            writer.writerow([one.day, one.version, *_tests(one.finding), *_accuracy(one.accuracy)])
    _draw(folder / "drift.png", days)


def _tests(found: DriftResult | None) -> Sequence[str]:
    if found is None:
        return [""] * 6
    asked = found.level is not Level.NONE
    ps = (found.components_p, found.probabilities_p, found.classes_p)
    discrepancy = f"{found.discrepancy_p:.6g}" if asked else ""
    return [found.level.value, str(found.images), *(f"{p:.6g}" for p in ps), discrepancy]


def _accuracy(found: Estimate | None) -> Sequence[str]:
    if found is None:
        return [""] * 4
    return [*(f"{x:.6g}" for x in (found.value, found.low, found.high)), str(found.labels)]


def _draw(path: Path, days: Sequence[ObservedDay]) -> None:
    from matplotlib.figure import Figure

    tested = any(one.finding for one in days)
    measured = any(one.accuracy for one in days)
    panels: list[Callable[[Axes, Sequence[ObservedDay]], None]] = [
        *([_draw_tests] if tested else []),
        *([_draw_accuracy] if measured else []),
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
    found = [(_at(one), one.finding) for one in days if one.finding]
    tests = (
        ("embeddings", "o", [(at, one.components_p) for at, one in found]),
        ("probabilities", "s", [(at, one.probabilities_p) for at, one in found]),
        ("predicted classes", "^", [(at, one.classes_p) for at, one in found]),
        ("discrepancy", "D", [(at, one.discrepancy_p) for at, one in found if one.level is not Level.NONE]),
    )
    for name, marker, points in tests:
        if points:
            at, ps = zip(*points, strict=True)
            axes.plot(at, [max(p, _LEAST_P) for p in ps], marker, markersize=4, label=name)
    suspected, confirmed = FALSE_ALARMS / TESTS, FALSE_ALARMS
    axes.axhline(suspected, color="tab:orange", linestyle="--", label=f"suspected below {suspected:.3g}")
    axes.axhline(confirmed, color="tab:red", linestyle=":", label=f"discrepancy confirms below {confirmed:g}")
    sure = [at for at, one in found if one.level is Level.CONFIRMED]
    if sure:
        axes.plot(sure, [1.0] * len(sure), "v", color="tab:red", label="drift confirmed")
    axes.set(title="Uploads of the days before against those that the model was trained with")
    axes.set(yscale="log", ylim=(_LEAST_P / 2, 2.0), ylabel="p-value, corrected")


def _draw_accuracy(axes: Axes, days: Sequence[ObservedDay]) -> None:
    found = [(_at(one), one.accuracy) for one in days if one.accuracy]
    values = [100 * one.value for _, one in found]
    below = [max(0.0, 100 * (one.value - one.low)) for _, one in found]
    above = [max(0.0, 100 * (one.high - one.value)) for _, one in found]
    axes.errorbar(
        [at for at, _ in found], values, (below, above), fmt="o", capsize=3, markersize=4, label="accuracy"
    )
    axes.set(title="Accuracy of the model in service, 95 % interval", ylabel="accuracy, %")


def _draw_versions(axes: Axes, days: Sequence[ObservedDay]) -> None:
    """Mark the first day of each version."""
    for before, one in zip([None, *days], days, strict=False):
        if before is None or before.version != one.version:
            axes.axvline(_at(one), color="grey", linewidth=0.8, alpha=0.6)
            at = (_at(one), 1.0)
            axes.annotate(
                f"v{one.version}",
                at,
                xycoords=("data", "axes fraction"),
                xytext=(2, -10),
                textcoords="offset points",
                fontsize=8,
                color="grey",
            )


def _at(one: ObservedDay) -> int:
    return date.fromisoformat(one.day).toordinal()
