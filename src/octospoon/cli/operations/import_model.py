"""Wraps a model from elsewhere, checks it, and puts it into service or into a file."""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from octospoon.adapters.files import check_new, new_file
from octospoon.cli.deployment import local_project
from octospoon.cli.operations.trainer_environment import in_trainer
from octospoon.domain.errors import BadRequest, Conflict, NotConfigured
from octospoon.domain.evaluation.gate import Rules
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.boxes import CORNERS
from octospoon.training.model import check_import
from octospoon.training.model.model_file import extract_backbone
from octospoon.training.model.optimize import cold_start
from octospoon.training.model.register import FILES
from octospoon.usecases.promote_version import PromoteVersion

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.pool.images import Prediction
    from octospoon.training.model.check_import import Imported, Options

_SIDE = 512
_SEEN = 0.3


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an import.

    Attributes:
        pointer: what is in service.
        model: what was made of the file.
        prediction: of the image that it was tried on.
        seconds: for one image on one thread.
    """

    pointer: ChampionPointer
    model: Imported
    prediction: Prediction
    seconds: float

    def summary(self) -> str:
        """Return it as a line."""
        spec = self.model.spec
        line = (
            f"version {self.pointer.version} is in service from the next image on: images of {spec.height}x"
            f"{spec.width} ({spec.resize}), embedding of {spec.dim}, {1e3 * self.seconds:.1f} ms an image"
        )
        if self.prediction.probabilities is None:
            return f"{line}; a head is trained once there are labels"
        return f"{line}; {_guess(spec, self.prediction)}"


def import_model(
    deployment: Deployment, file: Path, options: Options, image: Path | None, *, new_backbone: bool = False
) -> Done:
    """Wrap a file into the model contract, try it on an image, and put it into service.

    With classes it becomes a new version, numbered by MLflow; a new backbone becomes the cold-start model,
    version 0. A detector is a version with classes.

    Args:
        deployment: the deployment.
        file: an ONNX file, octospoon's own or not.
        options: the properties that the file itself does not state.
        image: an image to try the model on; None for a generated image.
        new_backbone: allow a model with classes whose backbone requires re-scoring the pool.

    Raises:
        BadRequest: the options do not go together with the file, or the file with the project's labels.
        BadImage: the image cannot be read.
        BadModel: the file cannot be used; the message says why.
        OtherBackbone: the pool's embeddings are those of another backbone.
        Conflict: there is nothing new in it.
        NotConfigured: no MLflow server is named, and the model has classes.
    """
    history, activation = deployment.class_record().read(), deployment.task_type.activation
    model, prediction, seconds = _checked(file, options, history, image, activation)
    if new_backbone and not model.spec.has_head:
        raise BadRequest(
            "--new-backbone is for a model with classes: for a backbone, `octospoon backbone use FILE.onnx`"
        )
    if not new_backbone:
        _check_place(deployment, model)
    pointer = _served(deployment, model, file.name, new_backbone=new_backbone)
    return Done(pointer, model, prediction, seconds)


def write_model(
    file: Path, to: Path, options: Options, image: Path | None, activation: str | None = None
) -> list[str]:
    """Wrap a file into the model contract and write the result, without any deployment.

    Args:
        file: an ONNX file, octospoon's own or not.
        to: where the model goes, as version 0; with classes in the order of the options.
        options: the properties that the file itself does not state.
        image: an image to try the model on; None for a generated image.
        activation: of a classifier, one of `ACTIVATIONS`; None for the one that ends the graph.

    Returns:
        What was recognised, in lines for people.

    Raises:
        BadRequest: the options do not go together with the file, or `to` is there already.
        BadImage: the image cannot be read.
        BadModel: the file cannot be used; the message says why.
    """
    check_new(to)
    if activation and not options.classes:
        raise BadRequest("--activation is of a classifier: name its classes with --classes, or leave it out")
    model, prediction, seconds = _checked(file, options, None, image, activation)
    with new_file(to) as draft:
        draft.write_bytes(model.model)
    spec = model.spec
    guess = f"; {_guess(spec, prediction)}" if spec.has_head else ""
    return [
        *model.recognised,
        f"written to {to}: images of {spec.height}x{spec.width} ({spec.resize}), embedding of {spec.dim}, "
        f"{1e3 * seconds:.1f} ms an image{guess}",
    ]


def _checked(
    file: Path,
    options: Options,
    history: ClassHistory | None,
    image: Path | None,
    activation: str | None,
) -> tuple[Imported, Prediction, float]:
    """Return a model for a project's classes and kind of label, or for its own, tried on an image.

    See `check_import.read` for the activation.
    """
    for path in (file, image):
        if path is not None and not path.is_file():
            raise BadRequest(f"there is no file {path}")
    parts = check_import.read(file, options, activation)
    if history is not None:
        parts = replace(parts, classes=tuple(map(history.shown, parts.classes)))
    model = check_import.fitted(parts, parts.classes if history is None else history.names)
    data = image.read_bytes() if image else drawn_image()
    return model, *check_import.check(model, data, Rules())


def _guess(spec: ModelSpec, prediction: Prediction) -> str:
    assert prediction.probabilities is not None  # noqa: S101  asked of models with classes alone
    if spec.boxes:
        best = prediction.probabilities[:, CORNERS:].max(axis=1)
        return f"the image has {int((best >= _SEEN).sum())} boxes with a score from {_SEEN:g} on"
    top = int(prediction.probabilities.argmax())
    return f"the image is {spec.classes[top]} ({prediction.probabilities[top]:.1%})"


def _check_place(deployment: Deployment, model: Imported) -> None:
    serve = PromoteVersion(deployment.champions, deployment.entries)
    way = "`octospoon backbone use FILE.onnx` changes the backbone and keeps the labels"
    if model.spec.has_head:
        way += "; add --new-backbone to serve this model at once, and then run `octospoon rescore --full`"
    serve.check(model.spec.backbone, way)
    champion = deployment.champions.pointer()
    served = champion[0] if champion else None
    if not model.spec.has_head and served and served.backbone == model.spec.backbone and served.version > 0:
        raise Conflict(
            f"version {served.version} in service has this backbone already; `octospoon model rollback "
            "--to 0` would take its head away"
        )


def _served(deployment: Deployment, model: Imported, source: str, *, new_backbone: bool) -> ChampionPointer:
    """Put the model into service; a new backbone alone is version 0, to which a roll-back leads."""
    champions, spec = deployment.champions, model.spec
    version = _registered(deployment, model, source) if spec.has_head else None
    champion = champions.pointer()
    if champion is not None and (new_backbone or champion[0].backbone == spec.backbone):
        pointer = champion[0]
    else:
        bare = cold_start(extract_backbone(model.model), spec.resize)
        pointer = _serve(deployment, ChampionPointer.of(0, spec.backbone, *champions.put_model(bare, None)))
    if version is not None:
        number, whole, head = version
        stored = champions.put_model(whole, head)
        wanted = ChampionPointer.of(number, spec.backbone, *stored, spec.classes)
        pointer = _serve(deployment, wanted, new_backbone=new_backbone)
    return pointer


def _serve(
    deployment: Deployment, pointer: ChampionPointer, *, new_backbone: bool = False
) -> ChampionPointer:
    deployment.champions.keep(pointer)
    promote = PromoteVersion(deployment.champions, deployment.entries)
    return promote(pointer.version, new_backbone=new_backbone)


def _registered(deployment: Deployment, model: Imported, source: str) -> tuple[int, bytes, bytes | None]:
    """Return the version of a model, with its files of that version; a detector has no head."""
    server, above = _tracking_server(deployment), str(deployment.champions.newest())
    with tempfile.TemporaryDirectory() as scratch:
        whole, top = (Path(scratch) / name for name in FILES)
        whole.write_bytes(model.model)
        if model.head is not None:
            top.write_bytes(model.head)
        version = int(in_trainer(["register-model", scratch, "--source", source, "--above", above], server))
        return version, whole.read_bytes(), top.read_bytes() if model.head is not None else None


def _tracking_server(deployment: Deployment) -> str:
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    project = local_project() if deployment.endpoint_url else None
    if not server and project is not None:
        server = project.mlflow_url
    if not server:
        raise NotConfigured(
            "MLflow numbers the versions of models with classes: set MLFLOW_TRACKING_URI (user name and "
            "password beside it) to the deployment's server, and OCTOSPOON_MODEL_NAME if it is not octospoon"
        )
    return server


def drawn_image() -> bytes:
    """Return an image with edges, gradients and colours."""
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    disc = (x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.06
    pixels = np.stack([255 * x, 255 * y, np.where(disc, 230, 40)], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
