"""Measures the model in service, and reads the newest decisions about models and the drift."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.onnx.file_reader import LinearHead
from octospoon.cli.operations import status
from octospoon.domain.errors import NotConfigured
from octospoon.domain.pool.keys import day
from octospoon.usecases.decisions import newest_jobs
from octospoon.usecases.live_evaluation import EvaluateLive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.status import DriftStatus
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.monitoring.drift import DriftResult
    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.usecases.live_evaluation import LiveEvaluation

_DECISIONS = 5
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Report:
    """The quality of the model in service.

    Attributes:
        model_version: the model.
        metric: what `measured` calls accuracy: accuracy, macro_f1 or ap50.
        classes: names of the project's classes that it knows, in the order of the recalls.
        since: first UTC day of the uploads that count; empty for all.
        measured: accuracy and other measures, on the audit share.
        decisions: about the newest models, newest first.
        drift: of the uploads since the model was trained; None if none was tested.
        drift_test: the p-values of that test; None if there was none.
    """

    model_version: int
    metric: str
    classes: Sequence[str]
    since: str
    measured: LiveEvaluation
    decisions: list[ModelDecision]
    drift: DriftStatus | None
    drift_test: DriftResult | None


def read(deployment: Deployment, days: float | None) -> Report:
    """Measure the model in service.

    Args:
        deployment: the deployment.
        days: only images uploaded in so many days before now; None for all.

    Raises:
        NotConfigured: no model with classes is in service yet.
    """
    champion = deployment.champions.pointer()
    if champion is None or not champion[0].predicts:
        raise NotConfigured(
            "no trained model is in service yet: label a batch, `octospoon status` shows how far"
        )
    pointer = champion[0]
    since = day(time.time() - days * _DAY) if days is not None else ""
    drift = status.drift(deployment, pointer.version)
    measured = EvaluateLive(
        deployment.pool,
        deployment.labels,
        deployment.training_records,
        deployment.task_type,
        deployment.class_history(),
    )(pointer, head_of(deployment, pointer) if pointer.head_key else None, since)
    return Report(
        pointer.version,
        deployment.task_type.evaluator.metric_name,
        measured.classes,
        since,
        measured,
        _decisions(deployment),
        drift,
        deployment.observations.read().finding if drift else None,
    )


def head_of(deployment: Deployment, pointer: ChampionPointer) -> LinearHead:
    """Return the head of a version, verified."""
    with tempfile.TemporaryDirectory() as folder:
        return LinearHead(deployment.champions.fetch_head(pointer, Path(folder)))


def _decisions(deployment: Deployment) -> list[ModelDecision]:
    jobs = newest_jobs(deployment.history, deployment.control.state().jobs, _DECISIONS)
    return [job.decision for job in jobs if job.decision is not None]
