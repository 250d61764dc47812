"""octospoon report: how good the model in service is, honestly, and what was decided and seen of it."""

from __future__ import annotations

import math
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table

from octospoon.adapters.onnx.file_reader import LinearHead
from octospoon.cli.commands import status
from octospoon.domain.errors import NotConfigured
from octospoon.domain.pool.keys import day
from octospoon.domain.training.policy import numbered
from octospoon.usecases.live_evaluation import Measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.usecases.live_evaluation import LiveEvaluation

_DECISIONS = 5
_DAY = 24 * 3600.0


def show(deployment: Deployment, days: float | None) -> None:
    """Print the report.

    Args:
        deployment: whose model.
        days: only images uploaded in the last so many days; None for all.

    Raises:
        NotConfigured: no model with classes is in service yet.
    """
    found = deployment.champions.pointer()
    if found is None or not found[0].head_key:
        raise NotConfigured(
            "no trained model is in service yet: label a batch, `octospoon status` shows how far"
        )
    pointer = found[0]
    since = day(time.time() - days * _DAY) if days is not None else ""
    with tempfile.TemporaryDirectory() as folder:
        head = LinearHead(deployment.champions.fetch_head(pointer, Path(folder)))
    measured = Measure(deployment.pool, deployment.labels)(pointer, head, since)
    title = (
        f"version {pointer.version}, images uploaded since {since}" if since else f"version {pointer.version}"
    )
    Console().print(
        Group(_accuracy(measured, title), _classes(measured, pointer.classes), _decisions(deployment))
    )
    _drift(deployment, pointer.version)


def _accuracy(measured: LiveEvaluation, title: str) -> Table:
    table = Table("measure", "value", "95 % interval", "labels", title=title, title_justify="left")
    found = measured.evaluation
    table.add_row("[bold]accuracy[/bold]", *_shares(found.accuracy))
    table.add_row("accuracy, audit share alone", *_shares(found.audit_accuracy))
    table.add_row("[dim]naive: all labels, trained on or not[/dim]", *_shares(measured.naive))
    table.add_row("confidence above accuracy", *_shares(found.overconfidence))
    table.add_row("calibration error", *_shares(found.calibration_error))
    table.add_row("log loss, nats", *_numbers(found.log_loss))
    if measured.audit_predictions:
        table.caption = f"predictions on audit images: {measured.audit_predictions}"
    return table


def _classes(measured: LiveEvaluation, classes: Sequence[str]) -> Table:
    table = Table("class", "recall", "95 % interval", "audit labels")
    for name, estimate in zip(classes, measured.evaluation.recall, strict=True):
        table.add_row(name, *_shares(estimate))
    return table


def _decisions(deployment: Deployment) -> Table:
    table = Table("job", "version", "when (UTC)", "decision", "why", title="models", title_justify="left")
    jobs = deployment.control.state().jobs
    for job in range(jobs, max(0, jobs - _DECISIONS), -1):
        decision = deployment.history.decision(numbered(job))
        if decision is not None:
            when = datetime.fromtimestamp(decision.decided_at, UTC).strftime("%Y-%m-%d %H:%M")
            said = "promoted" if decision.promoted else "refused"
            table.add_row(decision.job_id, str(decision.version), when, said, "; ".join(decision.reasons))
    return table


def _drift(deployment: Deployment, version: int) -> None:
    console, seen = Console(soft_wrap=True), deployment.observations.read()
    console.print(f"drift: {status.drift(deployment, version)}")
    if seen.finding is not None and seen.version == version:
        found = seen.finding
        console.print(
            f"p: embeddings {found.components_p:.2g}, probabilities {found.probabilities_p:.2g}, "
            f"predicted classes {found.classes_p:.2g}"
        )


def _shares(one: Estimate) -> tuple[str, str, str]:
    if not math.isfinite(one.value):
        return "unknown", "", str(one.labels)
    interval = f"{one.low:.1%} to {one.high:.1%}" if math.isfinite(one.low) else ""
    return f"{one.value:.1%}", interval, str(one.labels)


def _numbers(one: Estimate) -> tuple[str, str, str]:
    if not math.isfinite(one.value):
        return "unknown", "", str(one.labels)
    interval = f"{one.low:.3f} to {one.high:.3f}" if math.isfinite(one.low) else ""
    return f"{one.value:.3f}", interval, str(one.labels)
