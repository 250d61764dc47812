"""Plot a load: images uploaded and scored over time, measured and predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.queueing import Run
    from matplotlib.axes import Axes


def draw(loads: Mapping[str, tuple[Run, Run]], path: Path) -> None:
    """Draw for each load the images uploaded and scored (top) and the time between the two (bottom).

    Args:
        loads: the measured and the predicted run, by name.
        path: the PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, len(loads), squeeze=False)
    for column, (name, (measured, foretold)) in enumerate(loads.items()):
        _counts(axes[0, column], measured, foretold)
        _latencies(axes[1, column], measured, foretold)
        axes[0, column].set_title(name)
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)


def _counts(axes: Axes, measured: Run, foretold: Run) -> None:
    number = np.arange(1, len(measured.arrivals) + 1)
    axes.plot(measured.arrivals, number, color="grey", label="uploaded")
    axes.plot(np.sort(measured.done), number, label="scored")
    axes.plot(np.sort(foretold.done), number, "--", label="scored, foretold")
    axes.set(xlabel="seconds from the first upload", ylabel="images")
    axes.grid(alpha=0.3)


def _latencies(axes: Axes, measured: Run, foretold: Run) -> None:
    share = np.linspace(0, 100, 1001)
    axes.plot(np.percentile(measured.latencies, share), share, color="C0")
    axes.plot(np.percentile(foretold.latencies, share), share, "--", color="C1")
    axes.set(xlabel="seconds from upload to row", ylabel="images within, %", xlim=(0, None))
    axes.grid(alpha=0.3)
