"""The demo's tasks by the name of their task type, and those whose models have a head on embeddings."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from octospoon.cli.datasets import digits
from octospoon.cli.datasets.labelled import Embedder, embed, of_digits
from octospoon.cli.demo.boxes import BoxesOfMosaics
from octospoon.cli.demo.mosaic_images import MosaicImages
from octospoon.cli.demo.task import Careless
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.training.simulation import Labelled, Split, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from octospoon.cli.datasets.mosaics import Mosaic
    from octospoon.cli.demo.task import DemoTask
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.training.simulation import Plan

DRAWS = 10


class Digits:
    """Implements `DemoTask` for one class per image."""

    task_type: TaskType = CLASSIFICATION
    title, metric, classes = "digits", "accuracy", digits.CLASSES
    batch, draws, photos = 50, DRAWS, False
    parameters: Mapping[str, str] = {}
    careless: Careless | None = None

    @property
    def pool(self) -> Sequence[str]:
        """The keys of the digits that are not held out."""
        return [key_of(int(index)) for index in digits.split().pool]

    def file(self, key: str) -> bytes:
        """Return a digit."""
        return digits.png_bytes(_index(key))

    def label(self, key: str) -> str:
        """Return the digit that an image shows."""
        return digits.CLASSES[int(digits.labels()[_index(key)])]

    @cached_property
    def held_out(self) -> Sequence[bytes]:
        """The digits that are held out."""
        return [digits.png_bytes(int(index)) for index in digits.split().held_out]

    @property
    def held_out_labels(self) -> Sequence[str]:
        """Which digits these are."""
        return [digits.CLASSES[int(digits.labels()[index])] for index in digits.split().held_out]

    def random_metrics(self, model: bytes, plan: Plan) -> Iterator[float]:
        """Train heads on random digits."""
        third = digits.split()
        data = of_digits(Embedder("the demo's model", model)).data
        return _metrics(data, Split(third.pool, third.held_out), plan)


class ClassesOfMosaics(MosaicImages):
    """Implements `DemoTask` for several classes per image: which digits an image shows."""

    task_type: TaskType = MULTILABEL
    title, metric = "several digits on an image", "macro F1"
    batch, draws, photos = 100, DRAWS, True
    parameters: Mapping[str, str] = {}
    careless: Careless | None = Careless("submits without a tick", lambda _: ClassNames().write(frozenset()))

    def __init__(self, images: int = 800) -> None:
        super().__init__(images)

    def label_of(self, mosaic: Mosaic) -> str:
        """Return which digits a mosaic shows."""
        return ClassNames().write(frozenset(mosaic.present))

    def random_metrics(self, model: bytes, plan: Plan) -> Iterator[float]:
        """Train heads on random mosaics."""
        files = [*map(self.file, self.pool), *self.held_out]
        labels = [*map(self.label, self.pool), *self.held_out_labels]
        embeddings, _ = embed(files, model)
        targets = self.task_type.evaluator.targets(labels, self.classes).astype(np.int64)
        parts = Embedder("the demo's model", model).parts
        data = Labelled(embeddings, targets, len(self.classes), parts, self.task_type.activation)
        every = np.arange(len(files))
        return _metrics(data, Split(every[: len(self.pool)], every[len(self.pool) :]), plan)


TASKS: dict[str, Callable[[], DemoTask]] = {
    TaskTypeName.CLASSIFICATION: Digits,
    TaskTypeName.MULTILABEL: ClassesOfMosaics,
    TaskTypeName.DETECTION: BoxesOfMosaics,
}


def task_named(name: str) -> DemoTask:
    """Return the data of a task type; raises BadRequest if the demo has none."""
    if name not in TASKS:
        raise BadRequest(f"the demo has no data for {name!r}: choose one of {', '.join(TASKS)}")
    return TASKS[name]()


def key_of(index: int) -> str:
    """Return the object key of one digit."""
    return f"digits/{index:04d}.png"


def _index(key: str) -> int:
    return int(key[-8:-4])


def _metrics(data: Labelled, split: Split, plan: Plan) -> Iterator[float]:
    for seed in range(DRAWS):
        yield from (score.accuracy for score in replay(data, split, plan, CONTROL, seed))
