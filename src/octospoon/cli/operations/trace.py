"""Collects the story of one image from the tables, the bucket, the logs and the tracking server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from octospoon.cli.operations import log_reasons
from octospoon.usecases.trace import TraceImage

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.trace import Trace


def trace(deployment: Deployment, key: str) -> Trace:
    """Return one image's history.

    Raises:
        BadRequest: there is no such image, or it was not scored yet; the message says what to do.
    """
    return TraceImage(
        records=deployment.records,
        bucket=deployment.image_versions,
        rounds=deployment.rounds,
        labels=deployment.labels,
        control=deployment.control,
        history=deployment.history,
        snapshots=deployment.snapshots,
        champions=deployment.champions,
        runs=deployment.runs,
        task_type=deployment.task_type,
        task_address=deployment.task_address,
        failure=partial(log_reasons.newest, deployment, "score"),
        classes=deployment.class_record().read,
    )(key)
