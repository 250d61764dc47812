"""Puts an earlier version of the model into service."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.training.policy import numbered
from octospoon.usecases.promote_version import PromoteVersion

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.model_spec import ChampionPointer


def rollback(deployment: Deployment, version: int | None, *, new_backbone: bool = False) -> ChampionPointer:
    """Put an earlier version into service; the alias in MLflow follows within 15 minutes.

    Args:
        deployment: the deployment.
        version: the version; None for the version promoted before the current version.
        new_backbone: allow a version with another backbone, which must score the pool again.

    Raises:
        BadRequest: there is no such version.
        BadModel: its files are damaged; the version in service stays.
        OtherBackbone: it has another backbone, and there are images.
    """
    wanted = _promoted_before(deployment) if version is None else version
    return PromoteVersion(deployment.champions, deployment.entries)(wanted, new_backbone=new_backbone)


def _promoted_before(deployment: Deployment) -> int:
    try:
        champion = deployment.champions.pointer()
        serving = champion[0].version if champion else 0
    except BadModel:
        serving = sys.maxsize  # the pointer is damaged: go back to the newest promoted version
    if serving == 0:
        raise BadRequest("there is nothing to roll back to: no trained model is in service")
    for job in range(deployment.control.state().jobs, 0, -1):
        decision = deployment.history.decision(numbered(job))
        if decision and decision.promoted and decision.version < serving:
            return decision.version
    return 0
