"""Train with a program of the user, as a `Trainer`: it reads a folder of images and writes an ONNX file."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage, BadModel, BadRequest, TrainerFailed
from octospoon.domain.evaluation.gate import Rules
from octospoon.domain.training.jobs import TrainedModel
from octospoon.training.command import result, split
from octospoon.training.command.champion import Given
from octospoon.training.command.command_line import CommandLine, Places, environment
from octospoon.training.command.data_folder import DataFolder, layout_of
from octospoon.training.command.follow import epochs_reported
from octospoon.training.command.own_boxes import tried
from octospoon.training.command.own_head import Parts, calibrated
from octospoon.training.command.program import Limits, run_program
from octospoon.training.data.dataset import read_labelled
from octospoon.training.head.task_types import HEAD_TASKS
from octospoon.training.head.trainer import KEPT_OUT, for_training, train_head
from octospoon.training.model import check_import, model_file
from octospoon.training.model.optimize import cold_start

if TYPE_CHECKING:
    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.images import ImageStore
    from octospoon.training.command.champion import InService
    from octospoon.training.command.follow import Report
    from octospoon.training.command.layouts import Layout
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.model.check_import import Imported

LONGEST = 43_200.0
"""Seconds that a job may take where no limit is set; the default of TrainingTimeLimit."""
_LEAST_SECONDS = 10.0
_READ_AGAIN = 3.0
"""Evaluation reads labelled images again, and a sample of the pool: it may take this many times as long."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandTrainer:
    """Implements `octospoon.training.head.trainer.Trainer`.

    Attributes:
        images: the store of the labelled images.
        command: the program.
        task_type: the kind of label.
        until: `time.monotonic` by which the job must have ended.
        in_service: the model that the program may begin from.
        report: is given the metrics of the epochs so far, while the program runs.
        balanced: whether classes weigh the inverse of their frequency. The program is told so, and heads that
            octospoon fits do so.
    """

    images: ImageStore
    command: CommandLine
    task_type: TaskType
    until: float
    in_service: InService
    report: Report
    balanced: bool = False

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Write the images as a data set, run the program, and take its model. See `Trainer`.

        The program gets no audit image, and no model that has learned from one.

        Raises:
            NotConfigured: the task type has no data set, or the program does not exist.
            BadRequest: there are too few labels.
            TrainerFailed: the program failed, or its model cannot be used; with the end of its output.
        """
        layout = layout_of(self.task_type.name, spec.classes, self.task_type.labels)
        self.command.check(os.environ)
        apart = dataset.part(audit=False)
        with tempfile.TemporaryDirectory(prefix="octospoon-", ignore_cleanup_errors=True) as scratch:
            folder = Path(scratch).resolve()
            for name in ("data", "output", "tmp"):
                (folder / name).mkdir()
            began = time.monotonic()
            data = DataFolder(folder / "data", self.task_type.name, spec.classes, layout, self._weights())
            parts = self._written(data, apart)
            seconds = self._seconds(time.monotonic() - began)
            given = self._given(backbone, parts, dataset, spec)
            (folder / "champion.onnx").write_bytes(given.file)
            last_lines = self._run(folder, seconds)
            try:
                made = self._taken(folder / "output", replace(parts, before=given.images), layout, spec)
            except (BadModel, BadRequest) as error:
                raise TrainerFailed(
                    "the program of TrainerCommand ended, but its model cannot be used: "
                    f"{error}; {last_lines}"
                ) from error
        held_out = np.full((len(dataset), *made.held_out.shape[1:]), np.nan)
        held_out[[not image.audit for image in dataset.images]] = made.held_out
        return replace(made, held_out=held_out)

    def _weights(self) -> str:
        return "balanced" if self.balanced else "none"

    def _given(self, backbone: bytes, parts: Parts, dataset: Dataset, spec: ModelSpec) -> Given:
        """Return the model that the program may begin from: the one in service, or one like it."""
        if self._boxes:
            return self.in_service.detector() or Given(cold_start(backbone, spec.resize))
        served = self.in_service.classifier(dataset, spec)
        if served is not None:
            return served
        return Given(train_head(backbone, parts.for_training(), spec, balanced=self.balanced).model)

    @property
    def _boxes(self) -> bool:
        return not self.task_type.activation

    def _written(self, data: DataFolder, apart: Dataset) -> Parts:
        """Write the images outside the audit share; return the parts that could be read."""
        held_out = split.validation(apart.images, self.task_type.evaluator.strata(apart.labels))
        readable = data.write(apart.images, held_out, self.images)
        parts = Parts(apart, data.classes, readable & ~held_out, readable & held_out)
        if not parts.training.any() or not parts.validation.any():
            raise BadRequest("too few labelled images can be read: there is none for training or validation")
        return parts

    def _seconds(self, reading: float) -> float:
        """Return the seconds that the program may take, after the images took some to read."""
        seconds = for_training(self.until - time.monotonic(), _READ_AGAIN * reading)
        if seconds < _LEAST_SECONDS:
            raise TrainerFailed(
                f"the images took {reading:,.0f} seconds to read, and no time is left for the program of "
                "TrainerCommand: raise TrainingTimeLimit"
            )
        return seconds

    def _run(self, folder: Path, seconds: float) -> str:
        """Run the program in the folders of the job; return the last lines of its output."""
        places = Places(folder / "data", folder / "output", folder / "champion.onnx", int(seconds))
        _log.info("running %s for at most %d seconds", self.command.text, places.seconds)
        own = environment(os.environ, places, folder / "tmp")
        limits = Limits(seconds, (folder / "output", folder / "tmp"))
        with epochs_reported(folder / "output", self.report):
            return run_program(self.command.filled(places), own, limits).last_lines()

    def _taken(self, output: Path, parts: Parts, layout: Layout, spec: ModelSpec) -> TrainedModel:
        """Read the program's model, check it, and measure it on the part for validation."""
        wanted = result.Classes(spec.classes, layout.folders(), self.task_type.activation)
        imported = check_import.fitted(result.read_model(output, wanted), spec.classes)
        for line in imported.recognised:
            _log.info("%s: %s", result.MODEL, line)
        check_import.check(imported, self._readable_image(parts), Rules())
        make = self._detector if self._boxes else self._classifier
        made = make(imported, parts, spec)
        try:
            return replace(made, epochs=result.read_metrics(output))
        except BadRequest as error:
            _log.warning("the model has no metrics of its epochs: %s", error)
            return replace(made, params=made.params | {"epochs_left_out": str(error)})

    def _detector(self, imported: Imported, parts: Parts, spec: ModelSpec) -> TrainedModel:
        """Measure a detector. Its scores stay as they are."""
        rows, predicted = tried(imported, parts, self.images)
        evaluator, truth = self.task_type.evaluator, parts.dataset.labels[rows]
        held_out = np.full((len(parts.dataset), *predicted.shape[1:]), np.nan)
        held_out[rows] = predicted
        return TrainedModel(
            model=model_file.renumbered(imported.model, spec.version),
            head=b"",
            held_out=held_out,
            record=self._record(imported.spec, parts, spec),
            metrics={f"held_out_{evaluator.metric_name}": evaluator.metric(predicted, truth)},
            params=self._params(parts),
        )

    def _classifier(self, imported: Imported, parts: Parts, spec: ModelSpec) -> TrainedModel:
        """Give a classifier a calibrated head."""
        head = calibrated(imported, parts, self.images, spec.activation, balanced=self.balanced)
        named = replace(imported.spec, classes=spec.classes, version=spec.version, activation=spec.activation)
        task = HEAD_TASKS[spec.activation]
        file, truth = model_file.head_file(head.weights, head.bias, named), parts.dataset.labels[head.rows]
        held_out = np.full((len(parts.dataset), len(spec.classes)), np.nan)
        held_out[head.rows] = head.probabilities
        return TrainedModel(
            model=model_file.assemble(model_file.extract_backbone(imported.model), file, named),
            head=file,
            held_out=held_out,
            record=self._record(named, parts, spec),
            metrics={
                f"held_out_{task.evaluator.metric_name}": task.evaluator.metric(head.probabilities, truth),
                "held_out_log_loss": task.log_loss(head.probabilities, truth),
            },
            params=self._params(parts) | head.params,
        )

    def _record(self, made: ModelSpec, parts: Parts, spec: ModelSpec) -> TrainingRecord:
        shape, same = (made.dim, len(spec.classes)), made.backbone == spec.backbone
        return parts.record(shape, made.activation, same_backbone=same)

    def _params(self, parts: Parts) -> dict[str, str]:
        return {
            "trainer": "command",
            "trainer_command": self.command.text,
            "audit_labels": KEPT_OUT,
            "class_weights": self._weights(),
            "validation_labels": str(int(parts.validation.sum())),
        }

    def _readable_image(self, parts: Parts) -> bytes:
        """Return the file of an image for validation; raises BadModel if none can be read any more."""
        for i in np.flatnonzero(parts.validation).tolist():
            with suppress(BadImage):
                return read_labelled(self.images, parts.dataset.images[i])
        raise BadModel("the labelled images cannot be read any more")
