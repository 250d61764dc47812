"""Write the learning curve over versions: the accuracy of each model and its number of labels."""

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
    """Return the decisions of the last MOST jobs, oldest first, and the newest decision at the end.

    Jobs without a decision are omitted.

    Args:
        history: the stored decisions.
        jobs: number of jobs started so far.
        newest: the newest decision; an earlier attempt may have stored one for the same job.
    """
    before = (history.decision(numbered(job)) for job in range(max(1, jobs - MOST + 1), jobs + 1))
    return [
        *(decision for decision in before if decision is not None and decision.job_id != newest.job_id),
        newest,
    ]


def write(folder: Path, decisions: Sequence[ModelDecision]) -> None:
    """Write ``versions.csv`` and, if two or more versions were measured, ``versions.png``."""
    with (folder / "versions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["version", "job", "promoted", *_MEASURES])
        for decision in decisions:
            values = (decision.measures.get(name) for name in _MEASURES)
            cells = ("" if value is None else f"{value:.6g}" for value in values)
            writer.writerow([decision.version, decision.job_id, "yes" if decision.promoted else "no", *cells])
    measured = [decision for decision in decisions if decision.measures.keys() >= set(_MEASURES)]
    if len(measured) > 1:
        _draw(folder / "versions.png", measured)


def _draw(path: Path, decisions: Sequence[ModelDecision]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for promoted, colour, name in ((True, "tab:blue", "promoted"), (False, "tab:red", "refused")):
        some = [decision.measures for decision in decisions if decision.promoted is promoted]
        if not some:
            continue
        values = [100 * measures["accuracy"] for measures in some]
        below = [max(0.0, 100 * (measures["accuracy"] - measures["accuracy_low"])) for measures in some]
        above = [max(0.0, 100 * (measures["accuracy_high"] - measures["accuracy"])) for measures in some]
        labels = [measures["training_labels"] for measures in some]
        axes.errorbar(labels, values, (below, above), fmt="o", capsize=3, color=colour, label=name)
    for decision in decisions:
        at = (decision.measures["training_labels"], 100 * decision.measures["accuracy"])
        axes.annotate(f"v{decision.version}", at, xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set(title="Accuracy of each version at its evaluation, 95 % interval")
    axes.set(xlabel="training labels", ylabel="accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})
