"""octospoon model: the model that predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import ChampionPointer, model_key
from octospoon.domain.training_policy import numbered
from octospoon.training.model_file import read_spec, starter_model
from octospoon.usecases.serve import ServeVersion

if TYPE_CHECKING:
    from octospoon.cli.context import Deployment


def init_model(deployment: Deployment) -> ChampionPointer:
    """Give a new deployment its cold-start model (embeddings only), and leave any other as it is."""
    champions = deployment.champions
    found = champions.pointer()
    if found is not None:
        return found[0]
    model = starter_model()
    sha, _ = champions.put_model(model, None)
    pointer = ChampionPointer(0, sha, model_key(sha), read_spec(model).backbone)
    champions.keep(pointer)
    champions.promote(pointer, None)
    return init_model(deployment)


def rollback(deployment: Deployment, version: int | None) -> ChampionPointer:
    """Put an earlier version into service; the alias in MLflow follows within 15 minutes.

    Args:
        deployment: whose champion.
        version: which; None for the one that was promoted before the one in service.

    Raises:
        BadRequest: there is no such version.
        BadModel: its files are damaged; the version in service stays.
    """
    wanted = _promoted_before(deployment) if version is None else version
    return ServeVersion(deployment.champions)(wanted)


def _promoted_before(deployment: Deployment) -> int:
    found = deployment.champions.pointer()
    if found is None or found[0].version == 0:
        raise BadRequest("there is nothing to roll back to: no trained model is in service")
    for job in range(deployment.control.state().jobs, 0, -1):
        decision = deployment.history.decision(numbered(job))
        if decision and decision.promoted and decision.version < found[0].version:
            return decision.version
    return 0
