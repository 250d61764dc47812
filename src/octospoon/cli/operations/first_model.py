"""Gives a new deployment its first model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.operations.backbones import suited
from octospoon.domain.errors import BadModel, BadRequest, Conflict
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.training.backbone import catalogue
from octospoon.training.detector.maps import check_backbone
from octospoon.training.model.model_file import extract_backbone, read_spec, sha256, starter_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from octospoon.cli.deployment import Deployment


def begin_with(deployment: Deployment, model: Callable[[], bytes]) -> ChampionPointer:
    """Give a new deployment its cold-start model (embeddings only), and leave any other as it is.

    Args:
        deployment: the deployment.
        model: returns the model file of a named backbone; it is called only if no model is in service.

    Raises:
        BadRequest: octospoon is to train detectors, and none can read this backbone.
    """
    return _begin(deployment, lambda: suited(model(), deployment.task_type))


def _begin(deployment: Deployment, model: Callable[[], bytes]) -> ChampionPointer:
    champion = deployment.champions.pointer()
    if champion is not None:
        return champion[0]
    file = model()
    _check_detector(deployment, file)
    sha, _ = deployment.champions.put_model(file, None)
    pointer = ChampionPointer.of(0, read_spec(file).backbone, sha)
    deployment.champions.keep(pointer)
    deployment.champions.promote(pointer, None)
    return _begin(deployment, model)


def begin_with_backbone(deployment: Deployment, model: bytes) -> ChampionPointer:
    """Give a new deployment a cold-start model, and check that any other has its backbone.

    Raises:
        BadRequest: see `begin_with`.
        Conflict: the model in service has another backbone.
    """
    model = suited(model, deployment.task_type)
    pointer = _begin(deployment, lambda: model)
    if pointer.backbone != read_spec(model).backbone:
        raise Conflict(_other(pointer))
    return pointer


def init_model(deployment: Deployment, file: Path | None = None) -> ChampionPointer:
    """Give a new deployment the model of a file, or the starter.

    Args:
        deployment: the deployment.
        file: the model; None for the starter.

    Raises:
        BadRequest: there is no such file; or see `begin_with`.
        BadModel: the file is not a cold-start model.
        Conflict: another model than this file is in service already.
    """
    if file is None:
        return begin_with(deployment, starter_model)
    model = _cold_start(file)
    pointer = _begin(deployment, lambda: model)
    if pointer.sha256 != sha256(model):
        raise Conflict(_other(pointer))
    return pointer


def _check_detector(deployment: Deployment, model: bytes) -> None:
    """Refuse a backbone that would fail every training job, before anybody draws a box."""
    trains = deployment.outputs.get("Trainer") == "finetune"
    if not trains or deployment.task_type.name != TaskTypeName.DETECTION:
        return
    try:
        check_backbone(extract_backbone(model))
    except BadRequest as error:
        raise BadRequest(
            f"{error}. `octospoon init-model --backbone {catalogue.BOXES}` gives the stack one; a program of "
            "yours, with Trainer=command, may train on any"
        ) from error


def _other(pointer: ChampionPointer) -> str:
    return (
        f"version {pointer.version} is in service, and its backbone made the pool's embeddings: `octospoon "
        "backbone use` changes the backbone and keeps the labels"
    )


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
