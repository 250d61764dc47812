"""Write the learning curve over versions: the metric of each model and its number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.training.policy import numbered
from octospoon.training.report.tables import write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.domain.task_types.evaluator import Evaluator
    from octospoon.ports.models import ModelHistory

MOST = 50


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


def write(folder: Path, decisions: Sequence[ModelDecision], evaluator: Evaluator) -> None:
    """Write ``versions.csv`` and, if two or more versions were measured, ``versions.png``.

    Args:
        folder: an existing folder.
        decisions: about the models, oldest first.
        evaluator: of the task type, for the names of its metric.
    """
    name = evaluator.metric_name
    measures = ("training_labels", "audit_labels", name, f"{name}_low", f"{name}_high")
    write_table(
        folder / "versions.csv",
        ["version", "job", "promoted", *measures],
        (_row(decision, measures) for decision in decisions),
    )
    measured = [decision for decision in decisions if decision.measures.keys() >= set(measures)]
    if len(measured) > 1:
        _draw(folder / "versions.png", measured, evaluator)


def _row(decision: ModelDecision, measures: Sequence[str]) -> list[object]:
    values = (decision.measures.get(name) for name in measures)
    cells = ("" if value is None else f"{value:.6g}" for value in values)
    return [decision.version, decision.job_id, "yes" if decision.promoted else "no", *cells]


def _draw(path: Path, decisions: Sequence[ModelDecision], evaluator: Evaluator) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes, name, title = figure.subplots(), evaluator.metric_name, evaluator.metric_title
    for promoted, colour, outcome in ((True, "tab:blue", "promoted"), (False, "tab:red", "refused")):
        some = [decision.measures for decision in decisions if decision.promoted is promoted]
        if not some:
            continue
        values = [100 * measures[name] for measures in some]
        below = [max(0.0, 100 * (measures[name] - measures[f"{name}_low"])) for measures in some]
        above = [max(0.0, 100 * (measures[f"{name}_high"] - measures[name])) for measures in some]
        labels = [measures["training_labels"] for measures in some]
        axes.errorbar(labels, values, (below, above), fmt="o", capsize=3, color=colour, label=outcome)
    for decision in decisions:
        at = (decision.measures["training_labels"], 100 * decision.measures[name])
        axes.annotate(f"v{decision.version}", at, xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set(title=f"{title[0].upper()}{title[1:]} of each version at its evaluation, 95 % interval")
    axes.set(xlabel="training labels", ylabel=f"{title}, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})
