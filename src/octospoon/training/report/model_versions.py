"""The learning curve over versions: how good each model was when it was judged, and with how many labels."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.ports.models import ModelHistory

MOST = 50
_MEASURES = ("training_labels", "audit_labels", "accuracy", "accuracy_low", "accuracy_high")


def decided(history: ModelHistory, jobs: int, newest: ModelDecision) -> list[ModelDecision]:
    """Return the decisions of the last MOST jobs that came to one, oldest first, and the newest one.

    Args:
        history: where the others are.
        jobs: number of jobs begun so far.
        newest: not in the history yet, or in it by an earlier attempt.
    """
    before = (history.decision(numbered(job)) for job in range(max(1, jobs - MOST + 1), jobs + 1))
    return [*(one for one in before if one is not None and one.job_id != newest.job_id), newest]


def write(folder: Path, decisions: Sequence[ModelDecision]) -> None:
    """Write ``versions.csv`` and, where two versions or more were measured, ``versions.png``."""
    with (folder / "versions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["version", "job", "promoted", *_MEASURES])
        for one in decisions:
            values = (one.measures.get(name) for name in _MEASURES)
            cells = ("" if value is None else f"{value:.6g}" for value in values)
            writer.writerow([one.version, one.job_id, "yes" if one.promoted else "no", *cells])
    measured = [one for one in decisions if one.measures.keys() >= set(_MEASURES)]
    if len(measured) > 1:
        _draw(folder / "versions.png", measured)


def _draw(path: Path, decisions: Sequence[ModelDecision]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for promoted, colour, name in ((True, "tab:blue", "promoted"), (False, "tab:red", "refused")):
        some = [one.measures for one in decisions if one.promoted is promoted]
        if not some:
            continue
        values = [100 * one["accuracy"] for one in some]
        below = [max(0.0, 100 * (one["accuracy"] - one["accuracy_low"])) for one in some]
        above = [max(0.0, 100 * (one["accuracy_high"] - one["accuracy"])) for one in some]
        labels = [one["training_labels"] for one in some]
        axes.errorbar(labels, values, (below, above), fmt="o", capsize=3, color=colour, label=name)
    for one in decisions:
        at = (one.measures["training_labels"], 100 * one.measures["accuracy"])
        axes.annotate(f"v{one.version}", at, xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set(title="Accuracy of each version when it was judged, 95 % interval")
    axes.set(xlabel="training labels", ylabel="accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})
