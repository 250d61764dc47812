"""Repair lost events on a schedule, and start a training job when one is due."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime.observability import count, make_logger, make_metrics
from octospoon.runtime.wiring.reconcile import reconcile

if TYPE_CHECKING:
    from octospoon.usecases.reconcile import Reconcile

logger = make_logger("reconcile")
metrics = make_metrics("reconcile")


@cache
def use_case() -> Reconcile:
    """Wire once per execution environment."""
    return reconcile()


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Compare and repair.

    ``{"full": true}`` compares every task, image and annotation. ``{"accept_removals": "id"}`` makes the
    proposed removal of that id.
    """
    report = use_case()(full=event.get("full") is True, accept=str(event.get("accept_removals") or ""))
    logger.info("reconciled", extra={"report": asdict(report)})
    values = asdict(report)
    count(metrics, "launched", int(bool(values.pop("job"))))
    del values["refused"]
    for name, value in values.items():
        count(metrics, name, int(value))
    return asdict(report)
