"""Pictures for people who would rather look than read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.cli.demo import RoundFigures


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
