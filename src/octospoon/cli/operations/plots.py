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


def learning_curves(curves: Mapping[str, Curve], title: str, naive: tuple[str, float], path: Path) -> None:
    """Plot the mean accuracy of each strategy over labels, with 95 % intervals, into a PNG file.

    Beside it is balanced accuracy, if it was measured.

    Args:
        curves: the learning curve of each strategy, by its name.
        title: of the plot.
        naive: name and figure of a model that gives the same answer for every image.
        path: of the file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    measures = {next(iter(curves.values())).metric: {name: each.accuracy for name, each in curves.items()}}
    balanced = {name: each.balanced for name, each in curves.items() if each.balanced is not None}
    if balanced:
        measures["balanced accuracy"] = balanced
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, values in zip(panels, measures.values(), strict=True):
        for name, each in values.items():
            _band(axes, name, curves[name].labels, each)
    panels[0].axhline(100 * naive[1], color="black", linestyle=":", linewidth=1, label=naive[0])
    for axes, measure in zip(panels, measures, strict=True):
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
