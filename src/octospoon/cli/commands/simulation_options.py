"""The options of `octospoon simulate`, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.commands import onnx_options as onnx
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.datasets.boxed import BoxedFiles
    from octospoon.cli.datasets.labelled import Embedder, Source
    from octospoon.cli.operations.simulation_boxes import BoxSimulation
    from octospoon.cli.operations.simulation_result import Simulation
    from octospoon.training.model.check_import import Options


@dataclass(frozen=True, slots=True)
class Images:
    """The options that say which images are labelled."""

    folder: Path | None
    classes_file: Path | None
    boxes_file: Path | None
    digits: bool
    model: Path | None
    backbones: tuple[str, ...]
    onnx: onnx.OnnxOptions
    stack: str | None

    @property
    def boxed(self) -> bool:
        """Whether the labels are boxes."""
        from octospoon.cli.datasets.boxed import has_boxes

        named = self.folder is not None and self.classes_file is None and has_boxes(self.folder)
        return self.boxes_file is not None or named

    def check(self) -> None:
        """Raise BadRequest if the options contradict each other."""
        if self.boxes_file and (self.classes_file or not self.folder):
            raise BadRequest(
                "--boxes-file says which boxes the images of a folder have: name the folder, and leave out "
                "--classes-file"
            )
        if self.digits and self.folder:
            raise BadRequest("--digits and a folder do not go together")
        if self.classes_file and not self.folder:
            raise BadRequest("--classes-file says which classes the images of a folder have: name the folder")

    def sources(self, check: Callable[[int], None]) -> list[Source]:
        """Return the images for each backbone; `check` is called with the size of the pool before that."""
        from octospoon.cli.datasets import labelled, several_classes
        from octospoon.cli.deployment import find_deployment

        options = self._described()
        if not self.digits and not self.folder:
            if self.model is not None or self.backbones:
                raise BadRequest(
                    "a project's labels are simulated on its stored embeddings: leave out --model and "
                    "--backbones"
                )
            deployment = find_deployment(self.stack)
            if deployment.task_type.name == TaskTypeName.DETECTION:
                raise BadRequest(
                    "the labels of this stack are boxes, and a detector reads the images themselves: run "
                    "`octospoon labels export boxes.csv`, then `octospoon simulate DIR --boxes-file "
                    "boxes.csv` with the folder of the images"
                )
            return [labelled.of_project(deployment)]
        if self.model is not None:
            embedders = [labelled.Embedder(self.model.name, labelled.model_of(self.model, options))]
        else:
            embedders = self._embedders()
        if self.folder and self.classes_file:
            files = self.folder, self.classes_file
            return [several_classes.of_label_file(*files, embedder, check) for embedder in embedders]
        if self.folder:
            return [labelled.of_folder(self.folder, embedder, check) for embedder in embedders]
        return [labelled.of_digits(embedder, check) for embedder in embedders]

    def files(self) -> BoxedFiles:
        """Return the images and their boxes."""
        from octospoon.cli.datasets import boxed

        if self.folder is None:
            raise BadRequest("name the folder of the images")
        return boxed.read(self.folder, self.boxes_file)

    def detected(self) -> tuple[str, bytes]:
        """Return the name of the backbone of detectors, and a model file with it."""
        from octospoon.cli.datasets import labelled
        from octospoon.cli.operations import backbones
        from octospoon.cli.output import print_error_line
        from octospoon.domain.task_types.detection import DETECTION
        from octospoon.training.backbone import catalogue

        options = self._described()
        if self.model is not None:
            return self.model.name, labelled.model_of(self.model, options)
        if len(self.backbones) > 1:
            raise BadRequest("--backbones takes one name with boxes, because each needs detectors of its own")
        name = self.backbones[0] if self.backbones else catalogue.BOXES
        catalogue.backbone_named(name)
        with backbones.download_bar() as watch:
            model = backbones.pull(name, print_error_line, watch).model
        return name, backbones.suited(model, DETECTION)

    def _described(self) -> Options:
        """Return the description of an ONNX file; raises BadRequest if options contradict each other."""
        from octospoon.training.model.check_import import Options
        from octospoon.training.model.wrap_onnx import Pixels

        options = self.onnx.read()
        if self.model is None and options != Options(Pixels()):
            raise BadRequest("the options of an ONNX file go with --model: name the file")
        if self.model is not None and self.backbones:
            raise BadRequest("--model and --backbones do not go together")
        return options

    def _embedders(self) -> list[Embedder]:
        """Return the backbones that were named, downloaded if need be; else those that need no download."""
        from octospoon.cli.datasets.labelled import Embedder
        from octospoon.cli.operations import backbones
        from octospoon.cli.output import print_error_line
        from octospoon.domain.task_types.classification import CLASSIFICATION
        from octospoon.domain.task_types.multilabel import MULTILABEL
        from octospoon.training.backbone import catalogue

        names = self.backbones
        if not names:
            known = [catalogue.backbone_named(name) for name in (catalogue.PHOTOS, catalogue.SCATTERING)]
            names = tuple(backbone.name for backbone in known if backbones.is_pulled(backbone))
        for name in names:
            catalogue.backbone_named(name)
        with backbones.download_bar() as watch:
            task_type = MULTILABEL if self.classes_file else CLASSIFICATION
            models = [backbones.pull(name, print_error_line, watch).model for name in names]
            return [
                Embedder(name, backbones.suited(model, task_type))
                for name, model in zip(names, models, strict=True)
            ]


@dataclass(frozen=True, slots=True)
class Plan:
    """The options that say what is simulated."""

    strategies: tuple[str, ...]
    seeds: int | None
    labels: str
    batch: str
    target: float | None
    audit_share: float
    workers: int
    out: Path

    def simulation(self) -> Simulation:
        """Return what to simulate; raises BadRequest, before any image is read, if it is not possible."""
        from octospoon.cli.operations.simulate import check_options
        from octospoon.cli.operations.simulation_result import Simulation
        from octospoon.domain.batch.compose import BatchRules
        from octospoon.runtime.processors import cores
        from octospoon.training.simulation import Plan

        self._check()
        counts = sorted(set(_numbers("--labels", self.labels or "50,100,200")))
        sizes = _numbers("--batch", self.batch) if self.batch else _default_sizes(counts[-1])
        if counts[-1] < max(sizes):
            raise BadRequest(f"--labels ends at {counts[-1]}: it must be at least --batch, {max(sizes)}")
        simulation = Simulation(
            strategies=self.strategies or ("margin_diverse", "margin"),
            seeds=20 if self.seeds is None else self.seeds,
            plans=[Plan.through(counts, BatchRules(size, self.audit_share)) for size in dict.fromkeys(sizes)],
            workers=self.workers or cores(),
            folder=self.out,
            shown=counts if len(counts) > 1 else (),
            target=self.target,
        )
        check_options(simulation)
        return simulation

    def box_simulation(self) -> BoxSimulation:
        """Return what to simulate with boxes; raises BadRequest if options are wrong."""
        from octospoon.cli.operations.simulation_boxes import BoxSimulation
        from octospoon.runtime.processors import cores
        from octospoon.training.detector.replay import WAYS, Rounds

        self._check()
        if self.batch:
            raise BadRequest("with boxes, a round ends at each of --labels: leave out --batch")
        seeds = 5 if self.seeds is None else self.seeds
        return BoxSimulation(
            strategies=self.strategies or WAYS,
            seeds=seeds,
            rounds=Rounds(
                tuple(sorted(set(_numbers("--labels", self.labels or "20,40,80")))), (), self.audit_share
            ),
            workers=max(1, min(self.workers or cores(), seeds)),
            folder=self.out,
            target=self.target,
        )

    def _check(self) -> None:
        if not 0 <= self.audit_share < 1:
            raise BadRequest("--audit-share takes something from 0 up to, not including, 1")
        if self.workers < 0:
            raise BadRequest("--workers is a number of processes; 0 for one per core")


def _numbers(option: str, text: str) -> list[int]:
    """Return the numbers of an option; raises BadRequest if one is none, or is not positive."""
    numbers = [int(part) if part.isdecimal() else 0 for part in listed(text)]
    if not numbers or min(numbers) < 1:
        raise BadRequest(f"{option} is {text!r}: it takes numbers from 1 up, separated by commas")
    return numbers


def _default_sizes(labels: int) -> list[int]:
    return [size for size in (20, 10, 50) if size <= labels] or [labels]
