"""The plan of a change of the backbone: its cost, and the labels that judge it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.operations import backbones, prices, rescore
from octospoon.cli.operations.import_model import drawn_image
from octospoon.domain.errors import BadRequest
from octospoon.domain.evaluation.gate import Rules
from octospoon.training.detector.maps import check_backbone
from octospoon.training.model import check_import, model_file
from octospoon.training.model.detector_file import features_of
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import ImageRef
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.training.model.check_import import Options

AT_ONCE = 100
"""Functions that work at once on AWS, because no more than 1,000 images wait in the queue."""
FEW_AUDIT_LABELS = 30


@dataclass(frozen=True, slots=True)
class Choice:
    """A backbone that was tried on this machine.

    Attributes:
        name: for people: the name of the backbone, or of its file.
        model: a cold-start model file.
        backbone: sha256 of the backbone itself, hex.
        dim: numbers in an embedding.
        seconds: for one image, on one thread.
    """

    name: str
    model: bytes
    backbone: str
    dim: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The effects and the cost of a change of the backbone.

    Attributes:
        backbone: name of the new backbone.
        serves: version of the model that serves until then.
        images: images that are read, a labelled one twice.
        labelled: labelled images; none of their labels is lost.
        audit: how many of these judge the new model.
        trains: whether a training job makes and judges a head first.
        estimate: of the time and money; None if there is no image.
        minutes: for all images, with `at_once` processes.
        at_once: cores of this machine, or functions on AWS.
        local: whether the images are read on this machine.
        bytes_per_image: that the pool will store for an embedding.
        given_up: name of the backbone whose change is revoked; empty for a change to a new backbone.
    """

    backbone: str
    serves: int
    images: int
    labelled: int
    audit: int
    trains: bool
    estimate: rescore.Estimate | None
    minutes: float
    at_once: int
    local: bool
    bytes_per_image: int
    given_up: str = ""

    def lines(self) -> list[str]:
        """Return the plan for people."""
        begins = f"{self.backbone} replaces the backbone of version {self.serves}"
        if self.given_up:
            begins = f"{self.given_up} is given up, and {self.backbone} serves"
        lines = [begins, *self._cost()]
        if self.trains:
            lines.append(
                f"a training job makes a model from {self.labelled:,} labels; the gate compares it with "
                f"version {self.serves} on {self.audit:,} audit labels; only a model that passes goes into "
                "service"
            )
            if self.audit < FEW_AUDIT_LABELS:
                lines.append("so few audit labels show only a large difference")
        lines.append(f"version {self.serves} serves until then; all {self.labelled:,} labels stay")
        return lines

    def dollars(self) -> float:
        """Return the price of reading the images on AWS; 0 for a local stack."""
        return 0.0 if self.local or self.estimate is None else self.estimate.dollars()

    def _cost(self) -> list[str]:
        if self.estimate is None:
            return ["there is no image to read"]
        took = f"{1e3 * self.estimate.seconds:.0f} ms an image, of {self.estimate.measured} measured here"
        size = f"the pool stores {self.bytes_per_image / 1000:.1f} kB an image for embeddings"
        if self.local:
            where = f"about {_minutes(self.minutes)} with the {self.at_once} cores of this machine"
            return [f"{self.images:,} images are read again: {where} ({took}); {size}"]
        where = f"about {_minutes(self.minutes)} with {self.at_once} functions at once"
        price = f"about {self.dollars():.2f} dollars" if self.dollars() >= 0.01 else "less than a cent"
        return [
            f"{self.images:,} images are read again: {where}, {price} ({took}); {size}",
            f"prices: {prices.SOURCE}, read {prices.READ}",
        ]


def choose(
    name: str,
    options: Options,
    task_type: TaskType,
    tell: Callable[[str], None],
    watch: Callable[[int, int], None],
) -> Choice:
    """Return a backbone by its name or its ONNX file, after a trial on this machine.

    Args:
        name: of the backbone, or a path of an ONNX file.
        options: the properties that the file itself does not state.
        task_type: the kind of label.
        tell: receives a line before a download.
        watch: receives the bytes that have arrived, and how many there will be.

    Raises:
        BadRequest: there is no such backbone, or an option does not go with it.
        BadModel: the file cannot be used; the message says why.
        ServiceUnavailable: the backbone cannot be downloaded.
    """
    path = Path(name)
    if path.suffix != ".onnx":
        if options != check_import.Options(Pixels()):
            raise BadRequest("only an ONNX file has options: leave them out for a backbone with a name")
        pulled = backbones.pull(name, tell, watch)
        return _choice(name, backbones.suited(pulled.model, task_type), pulled.seconds)
    if not path.is_file():
        raise BadRequest(f"there is no file {path}")
    parts = check_import.read(path, options)
    bare = check_import.Parts(features_of(parts.backbone), parts.resize)
    imported = check_import.fitted(bare, ())
    for line in parts.recognised:
        tell(line)
    _, seconds = check_import.check(imported, drawn_image(), Rules())
    return _choice(path.name, imported.model, seconds)


def _choice(name: str, model: bytes, seconds: float) -> Choice:
    spec = model_file.read_spec(model)
    return Choice(name, model, spec.backbone, spec.dim, seconds)


def plan(deployment: Deployment, choice: Choice, serving: ChampionPointer) -> Plan:
    """Return what a change to a backbone does and costs. Reads the whole pool, and some images.

    Raises:
        BadRequest: there is no audit label, so the gate could not compare the models; or the labels are
            boxes, and no detector can be trained on the backbone.
    """
    trains = serving.predicts
    if not deployment.task_type.activation and (trains or deployment.outputs.get("Trainer") == "finetune"):
        # a training job would find it out only after the images were read
        check_backbone(model_file.extract_backbone(choice.model))
    labelled = list(deployment.labels.labelled())
    audit = sum(image.audit for image in labelled)
    if trains and not audit:
        raise BadRequest(
            f"there is no audit label, so nothing shows whether {choice.name} is better than version "
            f"{serving.version}: label some images of the audit share, which every batch contains, and run "
            "the command again"
        )
    images = list(deployment.pool_report.of_others(choice.backbone))
    return planned(deployment, choice, serving.version, images, (len(labelled), audit), trains=trains)


def planned(
    deployment: Deployment,
    choice: Choice,
    serves: int,
    images: Sequence[ImageRef],
    labels: tuple[int, int],
    *,
    trains: bool,
) -> Plan:
    """Return a plan from the counts; `labels` are all labels, and those of the audit share."""
    from octospoon.adapters.onnx.scorer import OnnxScorer  # an optional package: see cli/extras.py

    estimate = None
    if images:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            file.write_bytes(choice.model)
            estimate = rescore.measured(OnnxScorer(file), deployment.images, images)
    total = len(images) + (2 * labels[0] if trains else 0)
    local = deployment.endpoint_url is not None
    at_once = (os.cpu_count() or 1) if local else AT_ONCE
    minutes = total * (estimate.seconds if estimate else choice.seconds) / at_once / 60
    return Plan(
        choice.name, serves, total, *labels, trains, estimate, minutes, at_once, local, 2 * choice.dim
    )


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return "a minute"
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
