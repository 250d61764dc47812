"""Pictures for people who would rather look than read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.batch.compose import CONTROL
from octospoon.training.evaluation.curves import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from octospoon.cli.demo.loop import RoundFigures
    from octospoon.training.evaluation.curves import Curve


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


def learning_curves(curves: Mapping[str, Curve], title: str, majority: float, path: Path) -> None:
    """Draw the means of each strategy over labels, with 95 % intervals, into a PNG file.

    Args:
        curves: by strategy.
        title: of the picture.
        majority: accuracy by always naming the commonest class.
        path: of the file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, curve in curves.items():
        _band(left, name, curve.labels, curve.accuracy)
        if curve.balanced is not None:
            _band(right, name, curve.labels, curve.balanced)
    left.axhline(100 * majority, color="black", linestyle=":", linewidth=1, label="commonest class")
    for axes, what in ((left, "accuracy"), (right, "balanced accuracy")):
        axes.set(title=title, xlabel="labels", ylabel=f"held-out {what}, %")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def _band(axes: Axes, name: str, labels: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
    """Draw one strategy's mean of float64 [S, R] over the seeds, and its interval."""
    (line,) = axes.plot(labels, 100 * values.mean(axis=0), marker="o", markersize=3, label=name)
    if name == CONTROL:
        line.set(color="grey", linestyle="--")
    intervals = [mean_interval(column) for column in values.T]
    axes.fill_between(
        labels,
        [100 * one.low for one in intervals],
        [100 * one.high for one in intervals],
        color=line.get_color(),
        alpha=0.15,
    )
