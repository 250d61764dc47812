"""schedule -> what lost webhooks left uncounted, training that is due, the model of MLflow's alias."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime import wiring
from octospoon.runtime.observability import count, make_logger, make_metrics

if TYPE_CHECKING:
    from octospoon.usecases.follow_alias import FollowAlias
    from octospoon.usecases.reconcile import Reconcile

logger = make_logger("reconcile")
metrics = make_metrics("reconcile")


@cache
def use_case() -> Reconcile:
    """Wire once per execution environment."""
    return wiring.reconcile()


@cache
def follow_alias() -> FollowAlias | None:
    """Wire once per execution environment; None without an MLflow server."""
    return wiring.follow_alias()


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Compare Label Studio with what is counted; ``{"full": true}`` asks for every task."""
    try:
        report = use_case()(full=event.get("full") is True)
    finally:  # neither waits for the other
        follow = follow_alias()
        count(metrics, "models", 1 if follow and follow() >= 0 else 0)
    logger.info("reconciled", extra={"report": asdict(report)})
    count(metrics, "tasks", report.tasks)
    count(metrics, "repaired", report.annotations)
    count(metrics, "labels", report.labels)
    count(metrics, "launched", 1 if report.job else 0)
    return asdict(report)
