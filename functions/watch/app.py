"""Measure the model in service and test uploads for drift, on a schedule."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime.observability import gauge, make_logger, make_metrics
from octospoon.runtime.wiring.watch import watch

if TYPE_CHECKING:
    from octospoon.domain.monitoring.drift import DriftResult
    from octospoon.usecases.watch import Watch

logger = make_logger("watch")
metrics = make_metrics("watch")
_LEVELS = ("none", "suspected", "confirmed")


@cache
def use_case() -> Watch:
    """Wire once per execution environment."""
    return watch()


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Run once, and publish the results."""
    report = use_case()()
    for name, value in (report.evaluation.metrics() if report.evaluation else {}).items():
        gauge(metrics, name, value)
    if report.finding:
        _publish(report.finding)
    drift = report.finding.level if report.finding else report.reason
    if report.unmeasurable:
        logger.error("the model in service was not measured", extra={"reason": report.unmeasurable})
    logger.info("watched", extra={"version": report.version, "drift": drift, "asked": report.asked})
    return {"version": report.version, "drift": drift, "asked": report.asked}


def _publish(finding: DriftResult) -> None:
    gauge(metrics, "drift", _LEVELS.index(finding.level))
    gauge(metrics, "drift_components_p", finding.components_p)
    gauge(metrics, "drift_probabilities_p", finding.probabilities_p)
    gauge(metrics, "drift_classes_p", finding.classes_p)
    gauge(metrics, "drift_discrepancy_p", finding.discrepancy_p)
