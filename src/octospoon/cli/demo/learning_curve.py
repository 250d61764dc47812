"""The results of the demo's rounds, and their plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class RoundFigures:
    """The results of a labelling round.

    Attributes:
        round: number of the round.
        labels: number of images labelled so far.
        accuracy: of the champion on the held-out third, or the task type's other metric.
        control_accuracy: its mean over the random control with the same number of labels.
        model_version: of the champion.
        seconds: from the choice of the batch until the new champion has re-scored the pool.
    """

    round: int
    labels: int
    accuracy: float
    control_accuracy: float
    model_version: int
    seconds: float


def learning_curve(figures: Sequence[RoundFigures], metric: str, draws: int, path: Path) -> None:
    """Plot a metric over labels, for octospoon and for the random control, into a PNG file.

    Args:
        figures: of every round.
        metric: in words.
        draws: number of repetitions of the random control.
        path: of the file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    labels = [result.labels for result in figures]
    axes.plot(labels, [100 * result.accuracy for result in figures], "o-", label="octospoon")
    axes.plot(
        labels,
        [100 * result.control_accuracy for result in figures],
        "s--",
        color="grey",
        label=f"random labels (mean of {draws})",
    )
    axes.set(xlabel="labels", ylabel=f"{metric} on the held-out third, %", xticks=labels)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
