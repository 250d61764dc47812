"""Plots of the results of a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch.compose import CONTROL
from octospoon.training.evaluation.curves import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from octospoon.training.detector.replay import Point
    from octospoon.training.evaluation.curves import Curve

_APART = 1.2
"""Smallest ratio of two numbers that are both shown at an axis with logarithms."""


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
    measures = {next(iter(curves.values())).metric: {name: curve.accuracy for name, curve in curves.items()}}
    balanced = {name: curve.balanced for name, curve in curves.items() if curve.balanced is not None}
    if balanced:
        measures["balanced accuracy"] = balanced
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, values in zip(panels, measures.values(), strict=True):
        for name, measured in values.items():
            _band(axes, name, curves[name].labels, measured)
    panels[0].axhline(100 * naive[1], color="black", linestyle=":", linewidth=1, label=naive[0])
    for axes, measure in zip(panels, measures, strict=True):
        axes.set(title=title, xlabel="labels", ylabel=f"held-out {measure}, %")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def box_curves(sets: Mapping[str, Sequence[Mapping[str, Sequence[Point]]]], path: Path) -> None:
    """Plot mean AP50 by labelled images (left) and by labelled boxes (right), a row for each set of images.

    Args:
        sets: by its title, for each seed the points of every strategy and of random.
        path: of the file, SVG or PNG by its name.
    """
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "octospoon"
    figure = Figure(figsize=(11, 4.5 * len(sets)), layout="constrained")
    rows = figure.subplots(len(sets), 2, squeeze=False, sharey="row")
    for axes, (title, seeds) in zip(rows, sets.items(), strict=True):
        for cell, by in zip(axes, ("images", "boxes"), strict=True):
            for name in seeds[0]:
                _mean_line(cell, name, [seed[name] for seed in seeds], by)
            _whole_numbers(cell, [round(mean) for mean in _means([seed[CONTROL] for seed in seeds], by)])
            cell.set(xlabel=f"labelled {by}", title=title)
            cell.grid(alpha=0.3)
        axes[0].set_ylabel("held-out AP50, %")
    rows[0, 0].legend()
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def _mean_line(axes: Axes, name: str, seeds: Sequence[Sequence[Point]], by: str) -> None:
    ap50 = 100 * np.array(_means(seeds, "ap50"))
    (line,) = axes.plot(_means(seeds, by), ap50, marker="o", markersize=3, label=name)
    if name == CONTROL:
        line.set(color="grey", linestyle="--")


def _means(seeds: Sequence[Sequence[Point]], field: str) -> list[float]:
    """Return the mean of a field over the seeds, for each round."""
    return [
        float(np.mean([getattr(point, field) for point in points])) for points in zip(*seeds, strict=True)
    ]


def _whole_numbers(axes: Axes, numbers: Sequence[int]) -> None:
    """Scale an axis by logarithms, with whole numbers at some places and nothing between them.

    Matplotlib's own labels between the powers of ten overlap if the axis has less than one of them.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    apart = list(numbers[:1])
    for number in numbers[1:]:
        if number >= _APART * apart[-1]:
            apart.append(number)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(apart))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{number:,}" for number in apart]))
    axes.xaxis.set_minor_locator(NullLocator())


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
