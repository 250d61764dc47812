"""Pictures for people who would rather look than read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.selection import CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from octospoon.cli.demo import RoundFigures
    from octospoon.training.curves import Curve


def learning_curve(figures: Sequence[RoundFigures], draws: int, path: Path) -> None:
    """Draw accuracy over labels, octospoon's choice beside the random control, into a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    labels = [line.labels for line in figures]
    axes.plot(labels, [100 * line.accuracy for line in figures], "o-", label="octospoon")
    axes.plot(
        labels,
        [100 * line.control_accuracy for line in figures],
        "s--",
        color="grey",
        label=f"random labels (mean of {draws})",
    )
    axes.set(xlabel="labels", ylabel="accuracy on the held-out third, %", xticks=labels)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def learning_curves(curves: Mapping[str, Curve], title: str, path: Path) -> None:
    """Draw the mean accuracy of each strategy over labels, with its 95 % interval, into a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        (line,) = axes.plot(curve.labels, 100 * curve.mean, marker="o", markersize=3, label=name)
        if name == CONTROL:
            line.set(color="grey", linestyle="--")
        intervals = curve.intervals()
        axes.fill_between(
            curve.labels,
            [100 * one.low for one in intervals],
            [100 * one.high for one in intervals],
            color=line.get_color(),
            alpha=0.15,
        )
    axes.set(title=title, xlabel="labels", ylabel="held-out accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
