"""Gives a new deployment its first model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel, BadRequest, Conflict
from octospoon.domain.model_spec import ChampionPointer
from octospoon.training.model.model_file import extract_backbone, read_spec, sha256, starter_model

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.deployment import Deployment


def init_model(deployment: Deployment, file: Path | None = None) -> ChampionPointer:
    """Give a new deployment its cold-start model (embeddings only), and leave any other as it is.

    Args:
        deployment: the deployment.
        file: the model; None for the starter.

    Raises:
        BadRequest: there is no such file.
        BadModel: the file is not a cold-start model.
        Conflict: another model than this file is in service already.
    """
    champions = deployment.champions
    model = starter_model() if file is None else _cold_start(file)
    champion = champions.pointer()
    if champion is not None:
        if file is not None and champion[0].sha256 != sha256(model):
            raise Conflict(
                f"version {champion[0].version} is in service, and its backbone made the pool's embeddings: "
                "only a new deployment can begin with another one"
            )
        return champion[0]
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
