"""Plots of the results of a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.batch.compose import CONTROL
from octospoon.training.evaluation.curves import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from octospoon.training.evaluation.curves import Curve


def learning_curves(curves: Mapping[str, Curve], title: str, majority: float, path: Path) -> None:
    """Plot the mean accuracy of each strategy over labels, with 95 % intervals, into a PNG file.

    Args:
        curves: the learning curve of each strategy, by its name.
        title: of the plot.
        majority: accuracy of a model that always predicts the most frequent class.
        path: of the file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, curve in curves.items():
        _band(left, name, curve.labels, curve.accuracy)
        if curve.balanced is not None:
            _band(right, name, curve.labels, curve.balanced)
    left.axhline(100 * majority, color="black", linestyle=":", linewidth=1, label="most frequent class")
    for axes, measure in ((left, "accuracy"), (right, "balanced accuracy")):
        axes.set(title=title, xlabel="labels", ylabel=f"held-out {measure}, %")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def _band(axes: Axes, name: str, labels: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
    """Plot the mean over the seeds of float64 [S, R], and its interval."""
    (line,) = axes.plot(labels, 100 * values.mean(axis=0), marker="o", markersize=3, label=name)
    if name == CONTROL:
        line.set(color="grey", linestyle="--")
    intervals = [mean_interval(column) for column in values.T]
    axes.fill_between(
        labels,
        [100 * interval.low for interval in intervals],
        [100 * interval.high for interval in intervals],
        color=line.get_color(),
        alpha=0.15,
    )
