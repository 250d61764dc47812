"""octospoon init-model: the model that a new deployment begins with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel, BadRequest, Conflict
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.training.policy import numbered
from octospoon.training.model.model_file import extract_backbone, read_spec, sha256, starter_model
from octospoon.usecases.promote_version import PromoteVersion

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.deployment import Deployment


def init_model(deployment: Deployment, file: Path | None = None) -> ChampionPointer:
    """Give a new deployment its cold-start model (embeddings only), and leave any other as it is.

    Args:
        deployment: which one.
        file: the model; the starter where there is none.

    Raises:
        BadRequest: there is no such file.
        BadModel: the file is not a cold-start model.
        Conflict: another model than this file is in service already.
    """
    champions = deployment.champions
    model = starter_model() if file is None else _cold_start(file)
    found = champions.pointer()
    if found is not None:
        if file is not None and found[0].sha256 != sha256(model):
            raise Conflict(
                f"version {found[0].version} is in service, and its backbone made the pool's embeddings: "
                "only a new deployment can begin with another one"
            )
        return found[0]
    sha, _ = champions.put_model(model, None)
    pointer = ChampionPointer.of(0, read_spec(model).backbone, sha)
    champions.keep(pointer)
    champions.promote(pointer, None)
    return init_model(deployment, file)


def _cold_start(file: Path) -> bytes:
    if not file.is_file():
        raise BadRequest(f"there is no file {file}")
    spec = OnnxScorer(file).spec
    if spec.has_head or spec.version != 0:
        raise BadModel(
            f"{file} is no cold-start model: it has classes, or version {spec.version} instead of 0"
        )
    model = file.read_bytes()
    extract_backbone(model)
    return model


def rollback(deployment: Deployment, version: int | None, *, new_backbone: bool = False) -> ChampionPointer:
    """Put an earlier version into service; the alias in MLflow follows within 15 minutes.

    Args:
        deployment: whose champion.
        version: which; None for the one that was promoted before the one in service.
        new_backbone: also where the pool's images must be scored again by it.

    Raises:
        BadRequest: there is no such version.
        BadModel: its files are damaged; the version in service stays.
        OtherBackbone: it has another backbone, and there are images.
    """
    wanted = _promoted_before(deployment) if version is None else version
    return PromoteVersion(deployment.champions, deployment.entries)(wanted, new_backbone=new_backbone)


def _promoted_before(deployment: Deployment) -> int:
    try:
        found = deployment.champions.pointer()
        serving = found[0].version if found else 0
    except BadModel:
        serving = sys.maxsize  # nobody can tell: back to the newest
    if serving == 0:
        raise BadRequest("there is nothing to roll back to: no trained model is in service")
    for job in range(deployment.control.state().jobs, 0, -1):
        decision = deployment.history.decision(numbered(job))
        if decision and decision.promoted and decision.version < serving:
            return decision.version
    return 0
