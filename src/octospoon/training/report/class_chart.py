"""A chart of the classes: their metrics with intervals, one row for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from octospoon.domain.evaluation.estimators import Estimate

MOST_NAMES = 30
"""With more classes, charts leave their names out."""
_APART = 0.3
"""Distance of two metrics of a class, in rows."""


def draw(axes: Axes, classes: Sequence[str], metrics: Mapping[str, Sequence[Estimate]]) -> None:
    """Draw the metrics of all classes, except for those that are not known.

    Args:
        axes: where to draw.
        classes: C class names.
        metrics: C estimates for each name of a metric.
    """
    for number, (name, estimates) in enumerate(metrics.items()):
        _draw_metric(axes, estimates, name, _APART * (number - (len(metrics) - 1) / 2))
    axes.set(title="Classes, audit share, with 95 % intervals", xlim=(-0.02, 1.02))
    if len(classes) <= MOST_NAMES:
        axes.set_yticks(range(len(classes)), classes)
    axes.invert_yaxis()
    axes.legend()


def _draw_metric(axes: Axes, estimates: Sequence[Estimate], name: str, shift: float) -> None:
    known = [(at, bar) for at, bar in enumerate(estimates) if np.isfinite([bar.value, bar.low]).all()]
    values = np.array([bar.value for _, bar in known])
    ends = np.array([[bar.value - bar.low, bar.high - bar.value] for _, bar in known]).reshape(-1, 2)
    rows = np.array([at + shift for at, _ in known])
    axes.errorbar(values, rows, xerr=ends.T, fmt="o", label=name, capsize=2)
