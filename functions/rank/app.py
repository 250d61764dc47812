"""Put a labelling batch into Label Studio, on a schedule."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime.observability import count, gauge, make_logger, make_metrics
from octospoon.runtime.wiring.rank import rank

if TYPE_CHECKING:
    from octospoon.usecases.rank import Rank

logger = make_logger("rank")
metrics = make_metrics("rank")


@cache
def use_case() -> Rank:
    """Wire once per execution environment."""
    return rank()


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Choose and export one batch; finish an open batch first."""
    report = use_case()()
    logger.info("ranked", extra={"report": asdict(report)})
    count(metrics, "exported", report.created)
    count(metrics, "refreshed", report.refreshed)
    for name, value in asdict(report.tasks).items() if report.tasks else ():
        gauge(metrics, name, value)
    return asdict(report)
